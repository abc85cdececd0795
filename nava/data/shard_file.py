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
    """

    dtype: torch.dtype
    start: int
    rows: int
    row_shape: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return math.prod(self.row_shape) * self.dtype.itemsize


class ShardFile:
    """An open safetensors file of tensors with a row per clip. Several threads may read it at once.

    Args:
        path: the file; it may be removed while it is open.

    Raises:
        ValueError: the file is no safetensors file, or is cut short.
        OSError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.tensors = _read_header(self._descriptor)
        except BaseException:
            os.close(self._descriptor)
            raise

    def read_into(self, name: str, rows: Sequence[int], out: Tensor) -> None:
        """Read rows of a tensor, in the order asked.

        Args:
            name: of the tensor.
            rows: neighbours that follow each other are read at once.
            out: contiguous, of the stored dtype, [len(rows), *row_shape].

        Raises:
            ValueError: there is no such tensor or row, or ``out`` does not fit.
            OSError: the file ends too soon.
        """
        stored = self.tensors.get(name)
        if stored is None or not all(0 <= row < stored.rows for row in rows):
            raise ValueError(f"no rows {list(rows)} of {name} in a shard of {self.tensors}")
        if out.shape != (len(rows), *stored.row_shape) or out.dtype != stored.dtype or not out.is_contiguous():
            raise ValueError(f"{name}: {out.dtype} {list(out.shape)} does not fit {len(rows)} rows of {stored}")
        if not stored.row_bytes or not rows:
            return
        memory = out.flatten().view(torch.uint8).numpy().data
        for place, first, count in _neighbours(rows):
            part = memory[place * stored.row_bytes : (place + count) * stored.row_bytes]
            self._read(part, stored.start + first * stored.row_bytes)

    def _read(self, part: memoryview, offset: int) -> None:
        while part:
            count = os.preadv(self._descriptor, [part], offset)
            if not count:
                raise OSError(f"the shard ends at byte {offset}")
            part, offset = part[count:], offset + count

    def close(self) -> None:
        """Close the file."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            self.close()


def _neighbours(rows: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(place, first row, how many) of every stretch of rows that follow each other."""
    place = 0
    while place < len(rows):
        count = 1
        while place + count < len(rows) and rows[place + count] == rows[place] + count:
            count += 1
        yield place, rows[place], count
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
        stored = StoredTensor(_DTYPES[entry["dtype"]], base + begin, rows, tuple(row_shape))
        if end - begin != rows * stored.row_bytes or base + end > size:
            raise ValueError(f"{name} does not lie within the file")
        tensors[name] = stored
    return tensors
