"""The tensors of a file under the model's own names: no released prefix, eight-bit weights with their scales."""

from __future__ import annotations

import torch
from torch import Tensor

from nava.model.fp8 import FP8, dequantise_weight
from nava.model.keys import RELEASED_PREFIX
from nava.model.weights.files import TensorInfo, WeightReader
from nava.runtime.errors import InputError

# What the name of an eight-bit weight gets for the name of its scales.
SCALE_SUFFIX = "_scale"
# A tensor that every model of sound and pictures here has, whatever its architecture.
MARK = "head_audio.head.weight"


class StoredModel:
    """The tensors of a NAVA model in a file.

    Attributes:
        reader: the file.
        tensors: shape and stored type by the model's name; the scales of eight-bit weights are not listed apart.
        foreign: what else is in a file whose names have the released prefix: tensors without it, as they are called.
        quantised: names of the weights that are stored in eight bits.

    Raises:
        InputError: a weight in eight bits is no matrix, has no scale, or not one per output row.
    """

    def __init__(self, reader: WeightReader) -> None:
        self.reader = reader
        self._prefix = _prefix_of(reader)
        self.foreign = [name for name in reader.tensors if not name.startswith(self._prefix)]
        named = {
            name.removeprefix(self._prefix): info
            for name, info in reader.tensors.items()
            if name.startswith(self._prefix)
        }
        self.quantised = {name for name, info in named.items() if info.dtype == FP8}
        scales = {name + SCALE_SUFFIX for name in self.quantised}
        for name in sorted(self.quantised):
            self._check_scale(named, name)
        self.tensors: dict[str, TensorInfo] = {name: info for name, info in named.items() if name not in scales}

    def stored_name(self, name: str) -> str:
        """What a tensor is called in the file."""
        return self._prefix + name

    def read(self, name: str, device: torch.device | str, dtype: torch.dtype) -> Tensor:
        """One tensor in `dtype`, widened if it is stored in eight bits."""
        if name in self.quantised:
            weight, scale = self.read_quantised(name, device)
            return dequantise_weight(weight, scale, dtype)
        return self.reader.read(self.stored_name(name), device, dtype)

    def read_quantised(self, name: str, device: torch.device | str) -> tuple[Tensor, Tensor]:
        """An eight-bit weight [rows, columns] as it is stored, and its scales [rows] in bfloat16."""
        weight = self.reader.read(self.stored_name(name), device)
        scale = self.reader.read(self.stored_name(name) + SCALE_SUFFIX, device, torch.bfloat16)
        return weight, scale.reshape(-1).expand(len(weight)).contiguous()

    def _check_scale(self, named: dict[str, TensorInfo], name: str) -> None:
        stored, shape = self.stored_name(name), named[name].shape
        if len(shape) != 2:
            raise InputError(
                f"{self.reader.label}: '{stored}' is stored in eight bits, but is no matrix: shape {list(shape)}"
            )
        rows = shape[0]
        scale = named.get(name + SCALE_SUFFIX)
        if scale is None:
            raise InputError(f"{self.reader.label}: '{stored}' is stored in eight bits without its {SCALE_SUFFIX[1:]}")
        if scale.shape not in ((), (1,), (rows,), (rows, 1)):
            raise InputError(
                f"{self.reader.label}: '{stored}{SCALE_SUFFIX}' has shape {list(scale.shape)}, not one value per row "
                f"of its {rows}"
            )


def _prefix_of(reader: WeightReader) -> str:
    """The released prefix if the model's names have it; a tensor of something else does not decide that."""
    for prefix in (RELEASED_PREFIX, ""):
        if prefix + MARK in reader.tensors:
            return prefix
    return RELEASED_PREFIX if any(name.startswith(RELEASED_PREFIX) for name in reader.tensors) else ""
