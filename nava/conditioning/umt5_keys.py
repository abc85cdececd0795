"""The original checkpoint of the umT5 encoder: its tensor names, its sizes, and what transformers calls its tensors."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from nava.runtime.errors import InputError

EMBEDDING = "token_embedding.weight"
# What a block's tensors are called there and in transformers.
_BLOCK = {
    "norm1.weight": "layer.0.layer_norm.weight",
    "attn.q.weight": "layer.0.SelfAttention.q.weight",
    "attn.k.weight": "layer.0.SelfAttention.k.weight",
    "attn.v.weight": "layer.0.SelfAttention.v.weight",
    "attn.o.weight": "layer.0.SelfAttention.o.weight",
    "pos_embedding.embedding.weight": "layer.0.SelfAttention.relative_attention_bias.weight",
    "norm2.weight": "layer.1.layer_norm.weight",
    # The gate is the branch with the GELU, which transformers calls wi_0.
    "ffn.gate.0.weight": "layer.1.DenseReluDense.wi_0.weight",
    "ffn.fc1.weight": "layer.1.DenseReluDense.wi_1.weight",
    "ffn.fc2.weight": "layer.1.DenseReluDense.wo.weight",
}
_LISTED = 3


@dataclass(frozen=True)
class Umt5Sizes:
    """What the shapes of a checkpoint say about the encoder."""

    vocabulary: int
    width: int
    head_width: int
    feed_forward: int
    layers: int
    heads: int
    buckets: int


def transformers_names(layers: int) -> dict[str, str]:
    """Original name to transformers' name, for every tensor of an encoder of ``layers`` blocks."""
    names = {EMBEDDING: "shared.weight", "norm.weight": "encoder.final_layer_norm.weight"}
    for layer in range(layers):
        names |= {f"blocks.{layer}.{old}": f"encoder.block.{layer}.{new}" for old, new in _BLOCK.items()}
    return names


def read_sizes(state: Mapping[str, Tensor], path: Path) -> Umt5Sizes:
    """The sizes of the encoder in a checkpoint, after a check that it has every tensor and no other.

    Raises:
        InputError: tensors are missing or unknown; the message names them.
    """
    blocks = [int(found[1]) for name in state if (found := re.match(r"blocks\.(\d+)\.", name))]
    layers = max(blocks, default=0) + 1
    names = transformers_names(layers)
    _refuse(path, "lacks", [name for name in names if name not in state])
    _refuse(path, "has the unknown", [name for name in state if name not in names])
    for name, tensor in state.items():
        wanted = 1 if re.search(r"norm\d?\.weight$", name) else 2
        if tensor.dim() != wanted or not tensor.is_floating_point():
            raise InputError(f"{path}: tensor {name} is {tensor.dtype} {list(tensor.shape)}, not {wanted}-d floats")
    vocabulary, width = state[EMBEDDING].shape
    buckets, heads = state["blocks.0.pos_embedding.embedding.weight"].shape
    attention = state["blocks.0.attn.q.weight"].shape[0]
    if attention % heads:
        raise InputError(f"{path}: blocks.0.attn.q.weight has {attention} rows, which {heads} heads cannot share")
    feed_forward = state["blocks.0.ffn.fc1.weight"].shape[0]
    return Umt5Sizes(vocabulary, width, attention // heads, feed_forward, layers, heads, buckets)


def rename(state: Mapping[str, Tensor], model: Any, path: Path) -> dict[str, Tensor]:
    """The tensors under the names of a transformers encoder, each of the shape that it has there.

    Args:
        state: what ``read_sizes`` has checked.
        model: the encoder, on whatever device.
        path: the checkpoint, for messages.

    Raises:
        InputError: a tensor has another shape.
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    renamed = {}
    for old, new in transformers_names(model.config.num_layers).items():
        if tuple(state[old].shape) != shapes[new]:
            raise InputError(f"{path}: tensor {old} is {list(state[old].shape)}, but {list(shapes[new])} is wanted")
        renamed[new] = state[old]
    return renamed


def _refuse(path: Path, verb: str, names: list[str]) -> None:
    if names:
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        raise InputError(
            f"{path} is not a umT5 encoder in the original layout: "
            f"it {verb} tensor{'s' if len(names) > 1 else ''} {', '.join(names[:_LISTED])}{more}"
        )
