"""Small clips held in memory: to read one from its shard costs more than to copy its bytes.

A shard is read whole when the first of its clips is wanted, which is when it is verified anyway; from then on a batch
is gathered from memory, all of its clips at once. Only clips of which a call to the system would be a large part are
held, and only as many as there is room for; large ones, and small ones of a large set, are read from their files.
"""

import math
import threading
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from nava.artifacts.latent_shard import AUDIO, TEXT, VIDEO, LatentEntry
from nava.data.batch_memory import BatchMemory
from nava.data.shard_file import ShardFile, memory_of

# Larger clips are read from their files nearly as fast as the bytes can be copied.
SMALL_CLIP_BYTES = 1 << 18
HELD_BYTES = 1 << 28
TORCH_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16}


class HeldRows:
    """The rows of all shards of a split's clips of one size. Several threads may use it at once.

    Args:
        by_shard: the entries of each shard, all of one split and size.

    Attributes:
        first: one of the entries.
        missing: shards that were not read yet.
        voiced: whether any of the clips has voices; those are not held.
    """

    def __init__(self, by_shard: Mapping[str, Sequence[LatentEntry]]) -> None:
        self.missing = set(by_shard)
        self._lock = threading.Lock()
        self._places: dict[str, slice] = {}
        self._numbers: dict[str, int] = {}
        self._entries: list[LatentEntry] = []
        for shard, entries in by_shard.items():
            first = len(self._entries)
            self._entries += sorted(entries, key=lambda entry: entry.row)
            self._places[shard] = slice(first, len(self._entries))
            self._numbers |= {entry.clip_id: first + entry.row for entry in entries}
        self._captions = [entry.caption for entry in self._entries]
        self.first, rows = self._entries[0], len(self._entries)
        self.voiced = any(entry.voice_slots for entry in self._entries)
        # What no shard was read into yet takes no memory.
        memory, dtype = BatchMemory(kept_bytes=0), TORCH_DTYPES[self.first.dtype]
        self._tensors = {name: memory.empty((rows, *shape), dtype) for name, shape in row_shapes(self.first).items()}
        self._bytes = {name: _bytes_of(tensor) for name, tensor in self._tensors.items()}

    def numbers(self, ids: Iterable[str]) -> list[int] | None:
        """Where the clips lie; None if not all of them are held."""
        try:
            return [self._numbers[clip_id] for clip_id in ids]
        except KeyError:
            return None

    def entries(self, numbers: Iterable[int]) -> list[LatentEntry]:
        """Those of the clips."""
        return [self._entries[number] for number in numbers]

    def captions(self, numbers: Iterable[int]) -> list[str]:
        """Those of the clips."""
        return [self._captions[number] for number in numbers]

    def fill(self, shard: str, file: ShardFile) -> None:
        """Read a shard that was verified, unless it was read already.

        Raises:
            ValueError: it holds other rows than the index says.
            OSError: it cannot be read.
        """
        with self._lock:
            if shard not in self.missing:
                return
            for name, tensor in self._tensors.items():
                file.read_into(name, 0, memory_of(tensor[self._places[shard]]))
            self.missing.discard(shard)

    def gather(self, numbers: Sequence[int], tensors: Mapping[str, Tensor]) -> None:
        """Copy rows of shards that were read.

        Args:
            numbers: of the rows; see ``numbers``.
            tensors: where they go, by the names of the shards' tensors, a row for each.
        """
        rows = np.array(numbers)
        for name, tensor in tensors.items():
            # The numbers are right: what this saves is a copy that would let an error leave the output as it was.
            self._bytes[name].take(rows, 0, out=_bytes_of(tensor), mode="clip")


def held_rows(by_shard: Mapping[str, Sequence[LatentEntry]], held_bytes: int) -> dict[str, HeldRows]:
    """What holds each clip that is small enough to be held, by its id.

    Args:
        by_shard: the entries of all shards.
        held_bytes: there is room for so much; sizes of clips come first whose rows take less.
    """
    sizes: dict[tuple[object, ...], dict[str, Sequence[LatentEntry]]] = {}
    for shard, entries in by_shard.items():
        # By split too: training would always find shards missing that only validation reads.
        kinds = {(e.split, e.dtype, e.video_shape, e.audio_shape, e.text_shape) for e in entries}
        # A shard of several sizes is damaged, as its verification will say.
        if len(kinds) == 1 and entries[0].dtype in TORCH_DTYPES:
            sizes.setdefault(kinds.pop(), {})[shard] = entries
    found: dict[str, HeldRows] = {}
    for shards in sorted(sizes.values(), key=_bytes_needed):
        clip_bytes, needed = _clip_bytes(next(iter(shards.values()))[0]), _bytes_needed(shards)
        if clip_bytes > SMALL_CLIP_BYTES or needed > held_bytes:
            continue
        held_bytes -= needed
        held = HeldRows(shards)
        found |= {entry.clip_id: held for entries in shards.values() for entry in entries}
    return found


def row_shapes(entry: LatentEntry) -> dict[str, tuple[int, ...]]:
    """Shapes of a clip's rows by the names of the shards' tensors, voices aside."""
    shapes = {AUDIO: entry.audio_shape, TEXT: entry.text_shape}
    return shapes if entry.video_shape is None else shapes | {VIDEO: entry.video_shape}


def _clip_bytes(entry: LatentEntry) -> int:
    return sum(map(math.prod, row_shapes(entry).values())) * TORCH_DTYPES[entry.dtype].itemsize


def _bytes_needed(by_shard: Mapping[str, Sequence[LatentEntry]]) -> int:
    return sum(len(entries) * _clip_bytes(entries[0]) for entries in by_shard.values())


def _bytes_of(tensor: Tensor) -> np.ndarray:
    """The bytes of a contiguous tensor, row by row."""
    return tensor.view(torch.uint8).numpy().reshape(tensor.shape[0], -1)
