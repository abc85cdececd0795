"""How a fresh model starts: the release's distributions, and two options that a tiny model needs."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from nava.config.model import ModelConfig
from nava.model.rope import axis_pairs

# Embedding networks whose weights are drawn from N(0, 0.02) instead of Xavier's uniform.
_NORMAL = ("text_embedding", "time_embedding")
_SELF_ATTENTION_BIASES = tuple(f"self_attn.{name}.bias" for name in ("q", "k", "q_audio", "k_audio"))


@torch.no_grad()
def initialise(model: nn.Module, config: ModelConfig, seed: int) -> None:
    """Draw every parameter of a NavaTransformer anew from `seed`, without touching the global random state."""
    if any(p.is_meta for p in model.parameters()):
        return
    generator = torch.Generator().manual_seed(seed)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear):
            _linear(module, generator, normal=name.startswith(_NORMAL))
        elif isinstance(module, nn.Conv3d):
            nn.init.xavier_uniform_(module.weight.flatten(1), generator=generator)
            _zero(module.bias)
        elif isinstance(module, nn.Conv1d):
            _convolution(module, generator)
    for name, parameter in model.named_parameters():
        if name.endswith("modulation"):
            nn.init.normal_(parameter, std=config.dim**-0.5, generator=generator)
    heads = ("head.head", "head_audio.head") if config.zero_init_heads else ("head.head",)
    for name in heads:
        _zero(model.get_parameter(f"{name}.weight"))
    if config.temporal_bias:
        add_temporal_bias(model, config)


@torch.no_grad()
def add_temporal_bias(model: nn.Module, config: ModelConfig) -> None:
    """Let half of the heads of every self-attention start by attending to tokens near in time.

    Video and audio queries and keys are drawn separately, so that nothing tells a fresh model where the other
    modality's "same time" is. A constant on the real part of the two fastest temporal pairs, in q and in k, makes the
    rotary logits of those heads peak at equal times. It changes initial values only, no parameter and no shape.
    """
    pairs = min(2, axis_pairs(config.head_dim)[0])
    heads = torch.arange(max(1, config.num_heads // 2))
    index = (heads[:, None] * config.head_dim + 2 * torch.arange(pairs)).flatten()
    for name, parameter in model.named_parameters():
        if name.endswith(_SELF_ATTENTION_BIASES):
            parameter[index.to(parameter.device)] = config.temporal_bias


def _linear(module: nn.Linear, generator: torch.Generator, normal: bool) -> None:
    if normal:
        nn.init.normal_(module.weight, std=0.02, generator=generator)
    else:
        nn.init.xavier_uniform_(module.weight, generator=generator)
    _zero(module.bias)


def _convolution(module: nn.Conv1d, generator: torch.Generator) -> None:
    bound = 1 / math.sqrt(module.weight[0].numel())
    nn.init.uniform_(module.weight, -bound, bound, generator=generator)
    if module.bias is not None:
        nn.init.uniform_(module.bias, -bound, bound, generator=generator)


def _zero(parameter: Tensor | None) -> None:
    if parameter is not None:
        nn.init.zeros_(parameter)
