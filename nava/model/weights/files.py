"""Weight files of any form, read one tensor at a time: safetensors, safetensors in shards, legacy torch files."""

from __future__ import annotations

import fnmatch
import gc
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nava.artifacts.bucket_files import bucket_names
from nava.artifacts.torch_checkpoint import read_state_dict
from nava.artifacts.weight_files import (
    INDEX_SUFFIX,
    WEIGHT_FILES,
    WeightsMissing,
    fetch,
    locate,
    missing,
    names_file,
    shard_map,
)
from nava.runtime.errors import InputError
from nava.runtime.storage import is_part

# How safetensors spells the types of tensors.
SAFETENSORS_DTYPES: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
Device = torch.device | str
# A torch file is mapped into memory; after so many bytes the mapping is made anew, which gives its pages back.
_REMAP_BYTES = 1 << 28
# Where a folder's weights are looked for first.
_USUAL_NAMES = (
    "model.safetensors.index.json",
    "model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "diffusion_pytorch_model.safetensors",
    "NAVA.safetensors",
)
_PATTERNS = (f"*{INDEX_SUFFIX}", "*.safetensors", "*.pth", "*.ckpt")
# One file of several, which without their index are not a model: `m-00001-of-00002.safetensors`.
_SHARD_NAME = re.compile(r".*-\d{5}-of-\d{5}\.safetensors")


class TensorInfo(NamedTuple):
    """What is known of a tensor before it is read."""

    shape: tuple[int, ...]
    dtype: torch.dtype


class WeightReader(ABC):
    """Tensors by name, as they are stored.

    Attributes:
        label: what messages call it: the path of a file.
        form: "safetensors", "sharded safetensors" or "torch file".
        tensors: shape and type of every tensor, in the order in which they are read fastest.
    """

    label: str
    form: str
    tensors: dict[str, TensorInfo]

    @abstractmethod
    def read(self, name: str, device: Device = "cpu", dtype: torch.dtype | None = None) -> Tensor:
        """One tensor, in the type that it is stored in unless another is asked for; never a view of a file."""


class SafetensorsReader(WeightReader):
    """One safetensors file, or several that an index lists; read without mapping them into memory."""

    def __init__(self, path: Path) -> None:
        self.label = str(path)
        sharded = path.name.endswith(INDEX_SUFFIX)
        self.form = "sharded safetensors" if sharded else "safetensors"
        listed = shard_map(path) if sharded else None
        files = sorted({path.parent / file for file in listed.values()}) if listed else [path]
        self._home: dict[str, Any] = {}
        self.tensors = {}
        for file in files:
            opened = _open_safetensors(file)
            for name in opened.offset_keys():
                self._home[name] = opened
                self.tensors[name] = _info(opened, name, file)
        if listed is not None and (wrong := set(listed) ^ set(self._home)):
            raise InputError(f"{path} and its shards disagree about the tensor '{min(wrong)}': copy all of them again")

    def read(self, name: str, device: Device = "cpu", dtype: torch.dtype | None = None) -> Tensor:
        """One tensor. InputError if its bytes cannot be read."""
        try:
            tensor: Tensor = self._home[name].get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise InputError(f"{self.label}: tensor '{name}' cannot be read: {error}") from error
        return tensor.to(device=device, dtype=dtype)


class TorchFileReader(WeightReader):
    """A file of `torch.save` with tensors and nothing that runs: `state_dict` in it, or the tensors themselves."""

    form = "torch file"

    def __init__(self, path: Path) -> None:
        self.label = str(path)
        self._path = path
        self._state = read_state_dict(path)
        self._read_bytes = 0
        self.tensors = {name: TensorInfo(tuple(tensor.shape), tensor.dtype) for name, tensor in self._state.items()}

    def read(self, name: str, device: Device = "cpu", dtype: torch.dtype | None = None) -> Tensor:
        """One tensor, copied out of the file."""
        if self._read_bytes >= _REMAP_BYTES:
            self._read_bytes = 0
            del self._state
            # What torch.load leaves behind refers to itself and would keep the old mapping.
            gc.collect()
            self._state = read_state_dict(self._path)
        tensor = self._state[name]
        self._read_bytes += tensor.nbytes
        return tensor.to(device=device, dtype=dtype, copy=True, memory_format=torch.contiguous_format)


def open_weights(path: str | Path) -> WeightReader:
    """A reader for weights, by what the file is and not by what it is called.

    Args:
        path: a safetensors file, the index of a sharded one, a torch file, or a folder that holds one of these.

    Raises:
        InputError: there is none, it is cut short, it is of another kind, or it holds code; the message names it.
    """
    file = _weights_of(Path(path))
    if file.name.endswith(INDEX_SUFFIX):
        return SafetensorsReader(file)
    with file.open("rb") as opened:
        start = opened.read(9)
    # A header's length, then the header; the length alone can look like the start of a pickle.
    if start[4:] == b"\0\0\0\0{":
        return SafetensorsReader(file)
    if start[:2] == b"PK":
        return TorchFileReader(file)
    if start[:1] == b"\x80":
        raise InputError(f"{file} is a bare pickle, which can hold code, and is not opened: ask for a safetensors file")
    raise InputError(f"{file} is neither a safetensors nor a torch file: copy it again, or name another")


def find_weights(location: str | Path, known: Sequence[str], cache: Path | None = None) -> Path:
    """The weights at a location: a file, a folder with weights, a hub mirror, or the bucket address of one of these.

    Args:
        location: where.
        known: names in `WEIGHT_FILES` of the published files that are looked for in mirrors and buckets.
        cache: where files of a bucket are kept.

    Raises:
        InputError: nothing there; the message says what the first of `known` is and how to obtain it.
    """
    address, path = str(location), Path(location).expanduser()
    if "://" in address:
        names = [] if names_file(address) else bucket_names(address)
    elif path.is_file():
        return _weights_of(path)
    else:
        names = _file_names(path)
    if any(".safetensors" in name for name in names) and (name := _chosen(names, address, known)):
        return fetch(f"{address.rstrip('/')}/{name}", cache) if "://" in address else path / name
    for name in known:
        with suppress(WeightsMissing):
            return locate(WEIGHT_FILES[name], location, cache)
    if path.is_dir():
        with suppress(InputError):
            return _weights_of(path)
    raise WeightsMissing(missing(WEIGHT_FILES[known[0]], address))


def _weights_of(path: Path) -> Path:
    if path.is_file():
        if is_part(path):
            raise InputError(f"{path} was being written when its process ended: remove it and make the weights again")
        return path
    if not path.is_dir():
        raise InputError(f"no weights at {path}")
    if name := _chosen(_file_names(path), str(path)):
        return path / name
    if (path / "transformer").is_dir():
        return _weights_of(path / "transformer")
    raise InputError(f"{path} holds no weights: name a safetensors file, its index or a torch file")


def _file_names(folder: Path) -> list[str]:
    return [file.name for file in folder.iterdir() if file.is_file()] if folder.is_dir() else []


def _chosen(names: Iterable[str], folder: str, known: Sequence[str] = ()) -> str | None:
    """Which of a folder's files its weights are; None if none of them.

    Args:
        names: of the files.
        folder: what messages call it.
        known: names in `WEIGHT_FILES` that are preferred where there are several.

    Raises:
        InputError: there are several, or a part of several.
    """
    whole = sorted(name for name in names if not is_part(Path(name)))
    published = [WEIGHT_FILES[name].file for name in known]
    for name in (*_USUAL_NAMES, *(file for file in published if ".safetensors" in file)):
        if name in whole:
            return name
    for pattern in _PATTERNS:
        found = fnmatch.filter(whole, pattern)
        if found and all(_SHARD_NAME.fullmatch(name) for name in found):
            raise InputError(f"{folder} holds shards of weights ({found[0]}) without their index: make them again")
        if len(found) > 1:
            raise InputError(f"{folder} holds several weight files ({', '.join(found)}): name one")
        if found:
            return found[0]
    return None


def _open_safetensors(path: Path) -> Any:
    if not path.is_file():
        raise InputError(f"{path} is missing: copy it beside its index")
    try:
        return safe_open(path, framework="pt", backend="pread")
    except (SafetensorError, OSError) as error:
        raise InputError(_why(path) or f"{path} is not a safetensors file that can be read: {error}") from error


def _why(path: Path) -> str | None:
    """Which tensor a file that is cut short ends in; None if that is not what is wrong with it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > size - 8:
            return f"{path} is cut short inside its header: copy it again"
        try:
            header = json.loads(file.read(length))
            ends = {name: 8 + length + entry["data_offsets"][1] for name, entry in header.items() if name[:2] != "__"}
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return None
    cut = [name for name in sorted(ends, key=lambda name: int(ends[name])) if ends[name] > size]
    if not cut:
        return None
    return f"{path} is cut short in tensor '{cut[0]}' ({size:,} of {max(ends.values()):,} bytes): copy it again"


def _info(opened: Any, name: str, path: Path) -> TensorInfo:
    view = opened.get_slice(name)
    dtype = SAFETENSORS_DTYPES.get(view.get_dtype())
    if dtype is None:
        raise InputError(f"{path}: tensor '{name}' is of type {view.get_dtype()}, which weights never have")
    return TensorInfo(tuple(view.get_shape()), dtype)
