"""A shard's file: rows of its tensors straight into the memory of a batch, without a copy on the way."""

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

# Names of safetensors.
_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16}
_LENGTH_BYTES = 8


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies in a file: rows one after the other.

    Attributes:
        start: of its first byte in the file.
        rows: how many there are.
        row_shape: of each.
        row_bytes: size of each.
    """

    dtype: torch.dtype
    start: int
    rows: int
    row_shape: tuple[int, ...]
    row_bytes: int


class ShardFile:
    """An open safetensors file of tensors with a row per clip. Several threads may read it at once.

    Args:
        path: the file; it may be removed while it is open.

    Attributes:
        descriptor: of the open file.
        tensors: where each lies, by name.

    Raises:
        ValueError: the file is no safetensors file, or is cut short.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.tensors = _read_header(self.descriptor)
        except BaseException:
            self.close()
            raise

    def read_into(self, name: str, first: int, memory: memoryview) -> None:
        """Read whole rows that follow each other.

        Args:
            name: of the tensor.
            first: the first row.
            memory: where they go; its size says how many.

        Raises:
            ValueError: there is no such tensor, not so many rows, or the memory is no whole number of rows.
            OSError: the file ends too soon.
        """
        stored, size = self.tensors.get(name), len(memory)
        if stored is None or first < 0 or first * stored.row_bytes + size > stored.rows * stored.row_bytes:
            raise ValueError(f"no {size} bytes of {name} from row {first} on in a shard of {self.tensors}")
        if stored.row_bytes and size % stored.row_bytes:
            raise ValueError(f"{size} bytes are no whole rows of {stored}")
        offset = stored.start + first * stored.row_bytes
        # One call reads it all, up to 2 GiB.
        done = os.preadv(self.descriptor, [memory], offset) if size else 0
        while done < size:
            count = os.preadv(self.descriptor, [memory[done:]], offset + done)
            if not count:
                raise OSError(f"the shard ends at byte {offset + done}")
            done += count

    def read(self, name: str) -> Tensor:
        """A whole tensor. ValueError and OSError as ``read_into``."""
        stored = self.tensors[name]
        tensor = torch.empty((stored.rows, *stored.row_shape), dtype=stored.dtype)
        self.read_into(name, 0, memory_of(tensor))
        return tensor

    def close(self) -> None:
        """Close the file."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __del__(self) -> None:
        if hasattr(self, "descriptor"):
            self.close()


def memory_of(tensor: Tensor) -> memoryview:
    """The bytes of a contiguous tensor, to be written to."""
    return tensor.view(-1).view(torch.uint8).numpy().data


def stretches(places: Sequence[tuple[str, int]]) -> Iterator[tuple[str, int, int, int]]:
    """Rows that follow each other in a shard, to be read at once.

    Args:
        places: shard and row of each clip of a batch.

    Yields:
        the shard, the first one's place in the batch and row in the shard, and how many they are.
    """
    place = 0
    while place < len(places):
        shard, row = places[place]
        count = 1
        while place + count < len(places) and places[place + count] == (shard, row + count):
            count += 1
        yield shard, place, row, count
        place += count


def _read_header(descriptor: int) -> dict[str, StoredTensor]:
    size = os.fstat(descriptor).st_size
    length = int.from_bytes(os.pread(descriptor, _LENGTH_BYTES, 0), "little")
    base = _LENGTH_BYTES + length
    if not 0 < length <= size - _LENGTH_BYTES:
        raise ValueError("it is no safetensors file, or is cut short")
    header = json.loads(os.pread(descriptor, length, _LENGTH_BYTES))
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        rows, *row_shape = entry["shape"]
        dtype = _DTYPES[entry["dtype"]]
        row_bytes = math.prod(row_shape) * dtype.itemsize
        stored = StoredTensor(dtype, base + begin, rows, tuple(row_shape), row_bytes)
        if end - begin != rows * stored.row_bytes or base + end > size:
            raise ValueError(f"{name} does not lie within the file")
        tensors[name] = stored
    return tensors
