"""Loads weights into a model, tensor by tensor, so that the host never holds a second copy of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from nava.model.fp8 import FP8, quantise_weight
from nava.model.weights.files import open_weights
from nava.model.weights.stored import SCALE_SUFFIX, StoredModel
from nava.runtime.errors import InputError

_NAMED = 3


@dataclass(frozen=True)
class LoadReport:
    """What was loaded.

    Attributes:
        source: path of the file.
        form: "safetensors", "sharded safetensors" or "torch file".
        tensors: how many the model has, scales of eight-bit weights not counted.
        parameters: values in them together.
        stored_as: tensors by the type that they are stored in.
        widened: eight-bit weights that were widened, because the model computes in wider types.
        quantised: weights that the model keeps in eight bits.
    """

    source: str
    form: str
    tensors: int
    parameters: int
    stored_as: dict[str, int]
    widened: int
    quantised: int

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(self.stored_as.items()))
        return f"{self.source}: {self.tensors} tensors ({kinds}), {self.parameters:,} parameters"


def load_weights(
    model: nn.Module,
    path: str | Path,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype | None = None,
    each: Callable[[str], None] | None = None,
) -> LoadReport:
    """Fill a model from a file. Build the model on the meta device: every tensor is then allocated once, on `device`.

    Names may have the released prefix or not. Weights stored in eight bits stay so where the model has `Fp8Linear`
    modules and are widened elsewhere; wide weights are rounded for `Fp8Linear` modules. Nothing is assigned unless
    every tensor is there with its shape.

    Args:
        model: whose tensors are replaced.
        path: NAVA.safetensors, its eight-bit sibling, an index of shards, a legacy torch file, or a folder with one.
        device: where the tensors go.
        dtype: type of all but the eight-bit weights; None keeps what the model was built with.
        each: called with the name of every tensor, for progress.

    Raises:
        InputError: the file is no weight file, or a tensor is missing, not expected or of another shape; the message
            names file and tensor.
    """
    stored = StoredModel(open_weights(path))
    targets = {name: tensor for name, tensor in model.state_dict().items() if not _is_scale(name, model)}
    check_names(stored, {name: tuple(tensor.shape) for name, tensor in targets.items()})
    quantised = 0
    with torch.no_grad():
        for name in stored.tensors:
            target = targets[name]
            if target.dtype == FP8:
                quantised += 1
                weight, scale = _eight_bits(stored, name, device)
                assign(model, name, weight)
                assign(model, name + SCALE_SUFFIX, scale)
            else:
                assign(model, name, stored.read(name, device, dtype or target.dtype))
            if each is not None:
                each(name)
    return LoadReport(
        source=stored.reader.label,
        form=stored.reader.form,
        tensors=len(targets),
        parameters=sum(tensor.numel() for tensor in targets.values()),
        stored_as=dict(Counter(str(info.dtype).removeprefix("torch.") for info in stored.tensors.values())),
        widened=sum(targets[name].dtype != FP8 for name in stored.quantised),
        quantised=quantised,
    )


def check_names(stored: StoredModel, shapes: dict[str, tuple[int, ...]]) -> None:
    """InputError unless the file has exactly these tensors with these shapes, in floating point.

    The message names the first three that are amiss.
    """
    label = stored.reader.label
    if missing := [name for name in shapes if name not in stored.tensors]:
        hint = ""
        if len(missing) > len(shapes) // 2 and "blocks.0.self_attn.q.weight" in stored.tensors:
            hint = "; these look like Wan weights: `nava model from-wan` makes NAVA weights of them"
        raise InputError(f"{label} lacks {listing(missing)}{hint}")
    unexpected = [stored.stored_name(name) for name in stored.tensors if name not in shapes]
    if unexpected or stored.foreign:
        raise InputError(f"{label} holds {listing(stored.foreign + unexpected)}, which this model does not have")
    check_types(stored)
    for name, shape in shapes.items():
        if stored.tensors[name].shape != shape:
            raise InputError(
                f"{label}: '{stored.stored_name(name)}' has shape {list(stored.tensors[name].shape)}, "
                f"the model needs {list(shape)}"
            )


def check_types(stored: StoredModel) -> None:
    """InputError names the tensors that are not floating point: no weights, whatever they are called."""
    others = [stored.stored_name(name) for name, info in stored.tensors.items() if not info.dtype.is_floating_point]
    if others:
        kind = str(stored.reader.tensors[others[0]].dtype).removeprefix("torch.")
        raise InputError(f"{stored.reader.label} holds {listing(others)} in {kind}, but weights are floating point")


def assign(model: nn.Module, name: str, tensor: Tensor) -> None:
    """Put a tensor in the place of a parameter or buffer; a parameter keeps whether it takes gradients."""
    owner_name, _, leaf = name.rpartition(".")
    owner = model.get_submodule(owner_name)
    old = getattr(owner, leaf)
    new = nn.Parameter(tensor, requires_grad=old.requires_grad) if isinstance(old, nn.Parameter) else tensor
    setattr(owner, leaf, new)


def listing(names: list[str]) -> str:
    """The first three names, and how many more there are."""
    more = f" (and {len(names) - _NAMED} more)" if len(names) > _NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:_NAMED]) + more


def _is_scale(name: str, model: nn.Module) -> bool:
    if not name.endswith(f".weight{SCALE_SUFFIX}"):
        return False
    owner: Tensor = model.get_buffer(name.removesuffix(SCALE_SUFFIX))
    return owner.dtype == FP8


def _eight_bits(stored: StoredModel, name: str, device: torch.device | str) -> tuple[Tensor, Tensor]:
    if name in stored.quantised:
        return stored.read_quantised(name, device)
    return quantise_weight(stored.read(name, device, torch.float32))
