"""How a fresh model starts: the release's distributions, and two options that a tiny model needs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor, nn

from nava.config.model import ModelConfig
from nava.model.rope import axis_pairs

# Embedding networks whose weights are drawn from N(0, 0.02) instead of Xavier's uniform.
_NORMAL = ("text_embedding", "time_embedding")
# Queries and keys whose logits depend on position: those between video and audio tokens.
_POSITIONAL_BIASES = tuple(
    f"{attention}.{name}.bias"
    for attention in ("self_attn", "cross_modal_attn")
    for name in ("q", "k", "q_audio", "k_audio")
)


class InitialValue(NamedTuple):
    """What a parameter starts from, and how that was made, in words."""

    name: str
    value: Tensor
    rule: str


@torch.no_grad()
def initialise(model: nn.Module, config: ModelConfig, seed: int) -> None:
    """Draw every parameter of a NavaTransformer anew from `seed`, without touching the global random state."""
    if any(p.is_meta for p in model.parameters()):
        return
    for name, value, _ in initial_values(model, config, seed):
        model.get_parameter(name).copy_(value)


def initial_values(model: nn.Module, config: ModelConfig, seed: int) -> Iterator[InitialValue]:
    """Every parameter's initial value (float32, on the CPU), one at a time: for models too large for memory, too.

    Only the structure and the shapes of `model` count, so it may be on the meta device. The values depend on the order
    in which they are drawn: take them all, in turn.
    """
    generator = torch.Generator().manual_seed(seed)
    zeroed = ("head.head.weight", "head_audio.head.weight") if config.zero_init_heads else ("head.head.weight",)
    late = []
    for prefix, module in model.named_modules():
        for leaf, parameter in module.named_parameters(recurse=False):
            name = f"{prefix}.{leaf}" if prefix else leaf
            if leaf == "modulation":
                late.append((name, parameter.shape))
                continue
            value = torch.empty(parameter.shape, device="cpu")
            rule = _draw(module, name, value, generator)
            if name in zeroed:
                value.zero_()
                rule = "zeros"
            elif config.temporal_bias and name.endswith(_POSITIONAL_BIASES):
                _add_temporal_bias(value, config)
                rule = f"zeros, temporal bias {config.temporal_bias:g}"
            yield InitialValue(name, value, rule)
    for name, shape in late:
        value = nn.init.normal_(torch.empty(shape, device="cpu"), std=config.dim**-0.5, generator=generator)
        yield InitialValue(name, value, "normal, std 1/sqrt(dim)")


def _draw(module: nn.Module, name: str, value: Tensor, generator: torch.Generator) -> str:
    """Fill one parameter by what it belongs to; return the rule."""
    weight = name.endswith("weight")
    if weight and isinstance(module, nn.Linear) and name.startswith(_NORMAL):
        nn.init.normal_(value, std=0.02, generator=generator)
        return "normal, std 0.02"
    if weight and isinstance(module, nn.Linear | nn.Conv3d):
        nn.init.xavier_uniform_(value.flatten(1), generator=generator)
        return "xavier uniform"
    if isinstance(module, nn.Conv1d):
        bound = 1 / math.sqrt(module.weight[0].numel())
        nn.init.uniform_(value, -bound, bound, generator=generator)
        return "uniform, bound 1/sqrt(fan in)"
    # What is left: scales of norms start at one; biases and the token of the unknown speaker at zero.
    nn.init.constant_(value, 1.0 if weight else 0.0)
    return "ones" if weight else "zeros"


def _add_temporal_bias(bias_D: Tensor, config: ModelConfig) -> None:
    """Let half of the heads of every attention between tokens start by attending to tokens near in time.

    Video and audio queries and keys are drawn separately, so that nothing tells a fresh model where the other
    modality's "same time" is. A constant on the real part of the two fastest temporal pairs, in q and in k, makes the
    rotary logits of those heads peak at equal times. It changes initial values only, no parameter and no shape.
    """
    pairs = min(2, axis_pairs(config.head_dim)[0])
    heads = torch.arange(max(1, config.num_heads // 2))
    bias_D[(heads[:, None] * config.head_dim + 2 * torch.arange(pairs)).flatten()] = config.temporal_bias
