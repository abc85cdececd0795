"""A model under the released names, in float32 as it was released, in bfloat16, or with its blocks in eight bits."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor

from nava.model.fp8 import FP8, quantise_weight
from nava.model.keys import RELEASED_PREFIX
from nava.model.weights.files import TensorInfo, open_weights
from nava.model.weights.load import check_names, check_types, listing
from nava.model.weights.stored import MARK, SCALE_SUFFIX, StoredModel
from nava.model.weights.writing import info_bytes, write_safetensors
from nava.runtime.errors import InputError

Form = Literal["fp32", "bf16", "fp8"]
FORMS: tuple[str, ...] = get_args(Form)
_EIGHT_BIT_PARTS = frozenset({"self_attn", "cross_attn", "cross_modal_attn", "ffn", "ffn_audio"})


@dataclass(frozen=True)
class ExportReport:
    """What was written: the file or index, how many tensors and parameters, in eight bits how many, and the bytes."""

    path: Path
    tensors: int
    parameters: int
    quantised: int
    size_bytes: int

    def __str__(self) -> str:
        eight = f", {self.quantised} weights in eight bits" if self.quantised else ""
        size = f"{self.size_bytes / 1e6:,.1f} MB"
        return f"{self.path}: {self.tensors} tensors, {self.parameters:,} parameters{eight}, {size}"


def in_eight_bits(name: str, shape: tuple[int, ...]) -> bool:
    """Whether the eight-bit form rounds this tensor: the matrices of the blocks' attention and feed-forward parts."""
    parts = name.split(".")
    return len(shape) == 2 and parts[-1] == "weight" and bool(_EIGHT_BIT_PARTS.intersection(parts))


def plan_of(shapes: Mapping[str, tuple[int, ...]], form: Form) -> dict[str, TensorInfo]:
    """Released names, shapes and types of a model's tensors in one of the forms."""
    wide = torch.float32 if form == "fp32" else torch.bfloat16
    plan: dict[str, TensorInfo] = {}
    for name, shape in shapes.items():
        released = RELEASED_PREFIX + name
        if form == "fp8" and in_eight_bits(name, shape):
            plan[released] = TensorInfo(shape, FP8)
            plan[released + SCALE_SUFFIX] = TensorInfo(shape[:1], torch.bfloat16)
        else:
            plan[released] = TensorInfo(shape, wide)
    return plan


def released_tensors(name: str, value: Tensor, form: Form) -> Iterator[tuple[str, Tensor]]:
    """One tensor of a model as the released file would hold it: one, or an eight-bit weight and its scales."""
    released = RELEASED_PREFIX + name
    if form == "fp8" and in_eight_bits(name, tuple(value.shape)):
        weight, scale = quantise_weight(value)
        yield released, weight
        yield released + SCALE_SUFFIX, scale
    else:
        yield released, value.to(torch.float32 if form == "fp32" else torch.bfloat16)


def report_of(path: Path, shapes: Mapping[str, tuple[int, ...]], form: Form) -> ExportReport:
    """What writing a model in a form gives."""
    plan = plan_of(shapes, form)
    return ExportReport(
        path=path,
        tensors=len(shapes),
        parameters=sum(math.prod(shape) for shape in shapes.values()),
        quantised=sum(info.dtype == FP8 for info in plan.values()),
        size_bytes=sum(info_bytes(info) for info in plan.values()),
    )


def convert_weights(
    source: str | Path,
    target: Path,
    form: Form,
    *,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    max_shard_bytes: int | None = None,
    each: Callable[[str], None] | None = None,
) -> ExportReport:
    """Write the weights of a file in another form, tensor by tensor.

    Args:
        source: what `load_weights` reads.
        target: the new file; of several shards, the name that theirs are made from.
        form: types of the tensors in it.
        shapes: the tensors of the model it should be; None takes whatever NAVA tensors there are.
        max_shard_bytes: how large a file may become; None writes one.
        each: called with the name of every tensor, for progress.

    Raises:
        InputError: the source holds no NAVA model, or not the one of `shapes`, or tensors that are not floating point;
            or there is no room.
    """
    stored = StoredModel(open_weights(source))
    if shapes is not None:
        check_names(stored, dict(shapes))
    elif MARK not in stored.tensors:
        raise InputError(f"{source} holds no NAVA model: it lacks '{MARK}'")
    elif stored.foreign:
        raise InputError(f"{source} holds {listing(stored.foreign)}, which no NAVA model has")
    else:
        check_types(stored)
    held = {name: info.shape for name, info in stored.tensors.items()}

    def values() -> Iterator[tuple[str, Tensor]]:
        for name in stored.tensors:
            if form == "fp8" and name in stored.quantised and in_eight_bits(name, held[name]):
                # Rounding what is rounded already would move it again.
                weight, scale = stored.read_quantised(name, "cpu")
                yield RELEASED_PREFIX + name, weight
                yield RELEASED_PREFIX + name + SCALE_SUFFIX, scale
            else:
                yield from released_tensors(name, stored.read(name, "cpu", torch.float32), form)
            if each is not None:
                each(name)

    return report_of(write_safetensors(target, plan_of(held, form), values(), max_shard_bytes), held, form)
