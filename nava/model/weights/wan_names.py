"""What the tensors of Wan2.2's video transformer are called: in its own files, in diffusers', and in NAVA.

NAVA is grown from Wan2.2-TI2V-5B: a Wan block is a NAVA block for video alone, its first blocks become alignment
layers (video weights under the plain names), the next ones fusion layers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal

from nava.config.model import ModelConfig
from nava.runtime.errors import InputError

Naming = Literal["original", "diffusers"]

# diffusers' WanTransformer3DModel to the original names, outside and inside of the blocks.
_DIFFUSERS_TOP = {
    "patch_embedding": "patch_embedding",
    "condition_embedder.text_embedder.linear_1": "text_embedding.0",
    "condition_embedder.text_embedder.linear_2": "text_embedding.2",
    "condition_embedder.time_embedder.linear_1": "time_embedding.0",
    "condition_embedder.time_embedder.linear_2": "time_embedding.2",
    "condition_embedder.time_proj": "time_projection.1",
    "scale_shift_table": "head.modulation",
    "proj_out": "head.head",
}
_DIFFUSERS_ATTENTION = {
    "to_q": "q",
    "to_k": "k",
    "to_v": "v",
    "to_out.0": "o",
    "norm_q": "norm_q",
    "norm_k": "norm_k",
}
_DIFFUSERS_BLOCK = {
    **{f"attn1.{theirs}": f"self_attn.{ours}" for theirs, ours in _DIFFUSERS_ATTENTION.items()},
    **{f"attn2.{theirs}": f"cross_attn.{ours}" for theirs, ours in _DIFFUSERS_ATTENTION.items()},
    # The order of use names diffusers' norms, the order of definition Wan's: this one is before cross-attention.
    "norm2": "norm3",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
    "scale_shift_table": "modulation",
}
_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")
_NAVA_BLOCK = re.compile(r"(double_blocks|single_blocks|double_final_blocks)\.(\d+)\.(.+)")


def naming_of(names: Iterable[str]) -> Naming:
    """Which of its two namings a Wan file has. InputError if neither."""
    found = set(names)
    if any(name.startswith("condition_embedder.") for name in found):
        return "diffusers"
    if "blocks.0.self_attn.q.weight" in found:
        return "original"
    raise InputError(
        "these are not Wan2.2 weights: neither its own names (blocks.0.self_attn.q) nor diffusers' are there"
    )


def original_name(name: str) -> str | None:
    """The original name of one of diffusers' tensors; None if Wan2.2-TI2V has no such tensor."""
    block = _BLOCK.fullmatch(name)
    start, inner, table = (f"blocks.{block[1]}.", block[2], _DIFFUSERS_BLOCK) if block else ("", name, _DIFFUSERS_TOP)
    # The tables of shifts and scales are tensors of their own; all else is the weight or the bias of a module.
    module, leaf = (inner, "") if inner == "scale_shift_table" else inner.rpartition(".")[::2]
    if module not in table or (module == "scale_shift_table" and leaf):
        return None
    return start + ".".join(part for part in (table[module], leaf) if part)


def wan_source(name: str, config: ModelConfig) -> tuple[str, bool] | None:
    """The original Wan name that a NAVA tensor corresponds to, and whether it is the audio stream's.

    A tensor of the audio stream corresponds to the video stream's of the same layer. None for what Wan has nothing
    like: the audio stem, the audio head's output map, the speaker embedding.
    """
    if name == "head_audio.modulation":
        return "head.modulation", True
    block = _NAVA_BLOCK.fullmatch(name)
    if block is None:
        own = name.startswith(("patch_embedding_audio.", "head_audio.", "speaker_embedding."))
        return None if own else (name, False)
    kind, number, inner = block[1], int(block[2]), block[3]
    if kind != "double_blocks":
        number += config.num_hal_layers
    if kind == "double_final_blocks":
        number += config.num_ufl_layers
    parts = inner.split(".")
    plain = [part.removesuffix("_audio") for part in parts]
    if plain[0] == "modulation":
        plain = ["modulation"]
    return f"blocks.{number}.{'.'.join(plain)}", any(part.endswith("_audio") for part in parts)
