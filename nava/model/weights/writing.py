"""Writes safetensors of any size one tensor at a time: the library's own writer wants all of them in memory."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from nava.artifacts.weight_files import INDEX_SUFFIX
from nava.model.weights.files import SAFETENSORS_DTYPES, TensorInfo
from nava.runtime.errors import InputError
from nava.runtime.storage import atomic_file, write_json

_SPELLING = {dtype: name for name, dtype in SAFETENSORS_DTYPES.items()}
_METADATA = {"format": "pt"}
# The header is padded so that the first tensor starts at a multiple of this.
_ALIGNMENT = 8


class _Shard:
    """One file of the result and where in it each of its tensors goes."""

    def __init__(self, tensors: dict[str, TensorInfo]) -> None:
        self.tensors = tensors
        header: dict[str, object] = {"__metadata__": _METADATA}
        self.offsets: dict[str, int] = {}
        end = 0
        # Widest types first keep every tensor aligned to its own width.
        for name in sorted(tensors, key=lambda name: -tensors[name].dtype.itemsize):
            info = tensors[name]
            self.offsets[name] = end
            end += info_bytes(info)
            header[name] = {
                "dtype": _SPELLING[info.dtype],
                "shape": list(info.shape),
                "data_offsets": [self.offsets[name], end],
            }
        text = json.dumps(header, separators=(",", ":")).encode()
        text += b" " * (-len(text) % _ALIGNMENT)
        self.start = len(text).to_bytes(8, "little") + text
        self.size = len(self.start) + end

    def write(self, file: IO[bytes], name: str, tensor: Tensor) -> None:
        info = self.tensors[name]
        assert (tuple(tensor.shape), tensor.dtype) == info, f"{name}: {tensor.shape} {tensor.dtype}, planned {info}"
        file.seek(len(self.start) + self.offsets[name])
        file.write(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)


def info_bytes(info: TensorInfo) -> int:
    """How many bytes a tensor takes."""
    return math.prod(info.shape) * info.dtype.itemsize


def write_safetensors(
    path: Path,
    plan: Mapping[str, TensorInfo],
    values: Iterable[tuple[str, Tensor]],
    max_shard_bytes: int | None = None,
) -> Path:
    """Write tensors as they come, in any order; nothing appears at `path` before all of them are there.

    Args:
        path: the file; of several shards, the name that theirs and their index's are made from.
        plan: shape and type of every tensor, in the order in which they are shared out to shards.
        values: each tensor of the plan once.
        max_shard_bytes: how large a shard may be (a tensor that is larger has one to itself); None writes one file.

    Returns:
        The file, or the index if there are several shards.

    Raises:
        InputError: the disk has no room for it.
    """
    shards = [_Shard(tensors) for tensors in split(plan, max_shard_bytes)]
    files = shard_paths(path, len(shards))
    _require_room(path, sum(shard.size for shard in shards))
    home = {name: number for number, shard in enumerate(shards) for name in shard.tensors}
    waiting = set(home)
    with ExitStack() as stack:
        opened = []
        for shard, file in zip(shards, files):
            part = stack.enter_context(atomic_file(file))
            opened.append(stack.enter_context(part.open("wb")))
            opened[-1].write(shard.start)
            opened[-1].truncate(shard.size)
        for name, tensor in values:
            waiting.remove(name)
            shards[home[name]].write(opened[home[name]], name, tensor)
        assert not waiting, f"{len(waiting)} tensors of the plan were not given, {min(waiting)} among them"
    if len(shards) == 1:
        return path
    index = index_path(path)
    total = sum(info_bytes(info) for info in plan.values())
    weight_map = {name: files[number].name for name, number in home.items()}
    write_json(index, {"metadata": {"total_size": total}, "weight_map": weight_map})
    return index


def index_path(path: Path) -> Path:
    """The index of the shards that `path` names."""
    return path.with_name(path.name.removesuffix(".safetensors") + INDEX_SUFFIX)


def shard_paths(path: Path, count: int) -> list[Path]:
    """The files of `count` shards."""
    if count == 1:
        return [path]
    stem = path.name.removesuffix(".safetensors")
    return [path.with_name(f"{stem}-{number:05}-of-{count:05}.safetensors") for number in range(1, count + 1)]


def split(plan: Mapping[str, TensorInfo], max_shard_bytes: int | None) -> list[dict[str, TensorInfo]]:
    """Share tensors out to files of at most `max_shard_bytes`, in order."""
    shards: list[dict[str, TensorInfo]] = [{}]
    size = 0
    for name, info in plan.items():
        if max_shard_bytes is not None and shards[-1] and size + info_bytes(info) > max_shard_bytes:
            shards.append({})
            size = 0
        shards[-1][name] = info
        size += info_bytes(info)
    return shards


def _require_room(path: Path, size: int) -> None:
    folder = path.absolute().parent
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if size > free:
        raise InputError(f"{path} would take {size / 1e9:.1f} GB, but {folder} has {free / 1e9:.1f} GB free")
