"""Reading and writing latent shards: batches by clip id, one bucket per file, verified before the first use."""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nava.artifacts.latent_shard import (
    AUDIO,
    CODEC_FOLDER,
    TEXT,
    VIDEO,
    VOICE,
    LatentEntry,
    damaged,
    read_index,
    verify_shard,
)
from nava.data.batch_memory import BatchMemory
from nava.data.held_rows import HELD_BYTES, TORCH_DTYPES, HeldRows, held_rows, row_shapes
from nava.data.loader.cache import ShardCache
from nava.data.shard_file import ShardFile, memory_of, stretches
from nava.data.shard_set import fetched_set, is_remote
from nava.runtime.errors import InputError
from nava.runtime.storage import write_bytes

# Below the usual limit of 1024 open files.
OPEN_SHARDS = 512
_METADATA = "nava"


@dataclass(frozen=True)
class LatentBatch:
    """Clips of one size.

    Attributes:
        video_BCTHW: None if one of the clips has no picture, or none was asked for.
        audio_BLC: audio latents.
        text_BND: zero rows where there is no word.
        ids: the clips, in the order they were asked for.
        captions: the texts behind ``text_BND``.
        voice_SE: the voices of the clips' speech, one after the other; None if no clip has any.
        voice_slot_S: the row that each replaces, clip * N + row.
    """

    video_BCTHW: Tensor | None  # noqa: N815
    audio_BLC: Tensor  # noqa: N815
    text_BND: Tensor  # noqa: N815
    ids: list[str]
    captions: list[str]
    voice_SE: Tensor | None = None  # noqa: N815
    voice_slot_S: Tensor | None = None  # noqa: N815

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        tensors = (self.video_BCTHW, self.audio_BLC, self.text_BND, self.voice_SE)
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)


class LatentSource(Protocol):
    """Where latents come from: shards that were written, or encoders that make them now."""

    entries: dict[str, LatentEntry]

    def select(self, split: str | None = None, modality: str | None = None) -> list[LatentEntry]:
        """Index entries of a split and a modality, sorted by id."""
        ...

    def read(
        self, ids: Sequence[str], *, with_video: bool = True, dtype: torch.dtype | None = torch.float32
    ) -> LatentBatch:
        """The latents of ``ids``, in that order; see ``LatentShards.read``."""
        ...


@dataclass(frozen=True)
class ShardPlan:
    """What goes into one shard.

    Attributes:
        path: relative to the index, ``<bucket>/<nnnnn>.safetensors``.
        ids: the clips, in the order of the tensors' rows.
    """

    path: str
    bucket: str
    split: str
    ids: tuple[str, ...]


def select_entries(
    entries: Mapping[str, LatentEntry], split: str | None = None, modality: str | None = None
) -> list[LatentEntry]:
    """Entries of a split (``train``, ``heldout``) and a modality (``av``, ``audio``), sorted by id."""
    chosen = [
        entry for entry in entries.values() if split in (None, entry.split) and modality in (None, entry.modality)
    ]
    return sorted(chosen, key=lambda entry: entry.clip_id)


class LatentShards:
    """A set of latent shards, in a folder or in a bucket.

    Only those shards of a bucket are fetched that are wanted, and only the wanted rows are read; where clips are so
    small that this costs more than their bytes, their shards are held in memory. Every shard's hash and shapes are
    checked when it is first used. Several threads may read at once.

    Args:
        location: a folder, or an address that fsspec knows (``s3://bucket/set``).
        cache: where shards of a bucket are kept on this machine.
        held_bytes: how much memory small clips may be held in.

    Raises:
        InputError: the location holds no index that this release reads.
    """

    def __init__(self, location: Path | str, cache: ShardCache | None = None, *, held_bytes: int = HELD_BYTES) -> None:
        self.location = str(location)
        self._cache: ShardCache | None = None
        if is_remote(self.location):
            self._cache = cache or ShardCache.default()
            self.folder = fetched_set(self.location, self._cache.folder)
        else:
            self.folder = Path(self.location.removeprefix("file://"))
        self.entries: dict[str, LatentEntry] = {entry.clip_id: entry for entry in read_index(self.folder)}
        self._by_shard: dict[str, list[LatentEntry]] = {}
        for entry in self.entries.values():
            self._by_shard.setdefault(entry.shard, []).append(entry)
        self._open: OrderedDict[str, ShardFile] = OrderedDict()
        self._verified: set[str] = set()
        self._locks = _Locks()
        self._memory = BatchMemory()
        self._held = held_rows(self._by_shard, held_bytes)

    @property
    def codec_folder(self) -> Path:
        """The codecs and the text encoder that made the latents: ``nava.latents.registry.load_codecs`` reads them."""
        return self.folder / CODEC_FOLDER

    def select(self, split: str | None = None, modality: str | None = None) -> list[LatentEntry]:
        """Index entries of a split (``train``, ``heldout``) and a modality (``av``, ``audio``), sorted by id."""
        return select_entries(self.entries, split, modality)

    def ids(self, split: str | None = None, modality: str | None = None) -> list[str]:
        """Sorted ids of a split and a modality."""
        return [entry.clip_id for entry in self.select(split, modality)]

    def read(
        self, ids: Sequence[str], *, with_video: bool = True, dtype: torch.dtype | None = torch.float32
    ) -> LatentBatch:
        """The latents of ``ids``, in that order; ids may repeat.

        Args:
            ids: clips of one size.
            with_video: whether the picture is wanted, where there is one.
            dtype: of the tensors; None leaves what is stored.

        Raises:
            InputError: an unknown id, clips of different sizes, or a damaged shard.
        """
        held = self._held.get(ids[0]) if ids else None
        numbers = held.numbers(ids) if held else None
        if held is None or numbers is None:
            entries = self._entries(ids)
            tensors, captions = self._read_files(entries, with_video), [entry.caption for entry in entries]
        else:
            tensors, captions = self._gather(held, numbers, with_video), held.captions(numbers)
            entries = self._entries(ids) if held.voiced else []
        slots = [entry.voice_slots for entry in entries]
        if any(slots):
            tensors[VOICE] = self._read_voices(entries)
        if dtype is not None:
            tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        return LatentBatch(
            tensors.get(VIDEO),
            tensors[AUDIO],
            tensors[TEXT],
            list(ids),
            captions,
            tensors.get(VOICE),
            voice_slots(slots, tensors[TEXT].shape[1]),
        )

    def verify(self) -> None:
        """Check every shard's hash, rows, dtypes, shapes and that all values are finite.

        Raises:
            InputError: names the first bad shard.
        """
        for shard, entries in self._by_shard.items():
            self._verified.discard(shard)
            self._open.pop(shard, None)
            file = self._file(shard)
            for name in file.tensors:
                if not torch.isfinite(file.read(name)).all():
                    raise damaged(self.folder / entries[0].shard, f"{name} holds values that are not finite")

    def _entries(self, ids: Sequence[str]) -> list[LatentEntry]:
        if not ids:
            raise InputError("no clip to read: the list of ids is empty")
        try:
            return [self.entries[clip_id] for clip_id in ids]
        except KeyError as error:
            raise InputError(f"clip {error} is not among the {len(self.entries)} clips of {self.location}") from None

    def _gather(self, held: HeldRows, numbers: Sequence[int], with_video: bool) -> dict[str, Tensor]:
        """Rows that are held, after those shards of them were read that were not yet."""
        if held.missing:
            for entry in held.entries(numbers):
                if entry.shard in held.missing:
                    file = self._file(entry.shard)
                    with self._damage([entry]):
                        held.fill(entry.shard, file)
        tensors = self._empty(held.first, len(numbers), with_video)
        held.gather(numbers, tensors)
        return tensors

    def _read_files(self, entries: Sequence[LatentEntry], with_video: bool) -> dict[str, Tensor]:
        """Every clip's rows from its file, clips that follow each other in a shard at once."""
        with_video = with_video and all(entry.video_shape is not None for entry in entries)
        require_one_size(entries, with_video)
        tensors = self._empty(entries[0], len(entries), with_video)
        places = [(entry.shard, entry.row) for entry in entries]
        parts = [(self._file(shard), place, row, clips) for shard, place, row, clips in stretches(places)]
        with self._damage(entries):
            for name, tensor in tensors.items():
                memory = memory_of(tensor)
                size = len(memory) // len(entries)
                for file, place, row, clips in parts:
                    file.read_into(name, row, memory[place * size : (place + clips) * size])
        return tensors

    def _read_voices(self, entries: Sequence[LatentEntry]) -> Tensor:
        voices, width = sum(len(entry.voice_slots) for entry in entries), entries[0].voice_width
        voice_SE, start = torch.empty((voices, width), dtype=TORCH_DTYPES[entries[0].dtype]), 0
        memory = memory_of(voice_SE)
        size = len(memory) // voices
        with self._damage(entries):
            for entry in entries:
                if count := len(entry.voice_slots):
                    self._file(entry.shard).read_into(VOICE, entry.voice_row, memory[start : start + count * size])
                    start += count * size
        return voice_SE

    def _empty(self, like: LatentEntry, clips: int, with_video: bool) -> dict[str, Tensor]:
        dtype, shapes = TORCH_DTYPES[like.dtype], row_shapes(like)
        if not with_video:
            shapes.pop(VIDEO, None)
        return {name: self._memory.empty((clips, *shape), dtype) for name, shape in shapes.items()}

    @contextmanager
    def _damage(self, entries: Sequence[LatentEntry]) -> Iterator[None]:
        """Names the shards of a batch if one of them cannot be read."""
        try:
            yield
        except (OSError, ValueError) as error:
            shards = ", ".join(sorted({entry.shard for entry in entries})[:5])
            raise damaged(self.folder / shards, str(error)) from error

    def _file(self, shard: str) -> ShardFile:
        """The open file of a shard, fetched and verified if it was not yet."""
        file = self._open.get(shard)
        if file is not None:
            return file
        with self._locks.of(shard):
            if shard in self._open:
                return self._open[shard]
            file = self._opened(shard)
            with self._locks.of(""):
                self._verified.add(shard)
                self._open[shard] = file
                # Whoever still reads a file that leaves has a reference to it; it is closed with the last one.
                while len(self._open) > OPEN_SHARDS:
                    self._open.popitem(last=False)
        return file

    def _opened(self, shard: str) -> ShardFile:
        entries = self._by_shard[shard]
        if self._cache is None:
            return self._checked(self.folder / shard, entries)
        address, sha256 = f"{self.location.rstrip('/')}/{shard}", entries[0].shard_sha256
        with self._cache.held(address, sha256) as path:
            try:
                return self._checked(path, entries)
            except InputError:
                # It was whole when it was fetched: this machine's copy went bad.
                self._cache.drop(sha256)
        with self._cache.held(address, sha256) as path:
            return self._checked(path, entries)

    def _checked(self, path: Path, entries: Sequence[LatentEntry]) -> ShardFile:
        if entries[0].shard not in self._verified:
            verify_shard(path, entries)
        try:
            return ShardFile(path)
        except (ValueError, KeyError, OSError) as error:
            raise damaged(path, str(error)) from error


@dataclass
class _Locks:
    """A lock per shard, so that threads fetch and verify different shards at once and the same one once."""

    _known: dict[str, threading.Lock] = field(default_factory=dict)
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def of(self, name: str) -> threading.Lock:
        with self._guard:
            return self._known.setdefault(name, threading.Lock())


def voice_slots(slots: Sequence[Sequence[int]], text_rows: int) -> Tensor | None:
    """The text row of each voice of a batch, clip * N + row, from each clip's own rows; None without a voice."""
    found = [place * text_rows + row for place, rows in enumerate(slots) for row in rows]
    return torch.tensor(found) if found else None


def plan_shards(clips: Mapping[str, tuple[str, str]], clips_per_shard: int | Mapping[str, int]) -> list[ShardPlan]:
    """Distribute clips over shards: a function of the ids alone, so that a restarted step makes the same files.

    Args:
        clips: (bucket, split) of every clip, by id.
        clips_per_shard: at most so many clips per file; if it differs by bucket, for each bucket.
    """
    groups: dict[tuple[str, str], list[str]] = {}
    for clip_id in sorted(clips):
        groups.setdefault(clips[clip_id], []).append(clip_id)
    plans: list[ShardPlan] = []
    numbers: dict[str, int] = {}
    for (bucket, split), ids in sorted(groups.items()):
        limit = clips_per_shard if isinstance(clips_per_shard, int) else clips_per_shard[bucket]
        if limit < 1:
            raise InputError(f"encoding.clips_per_shard must be at least 1, got {limit}")
        for start in range(0, len(ids), limit):
            number = numbers.get(bucket, 0)
            numbers[bucket] = number + 1
            path = f"{bucket}/{number:05d}.safetensors"
            plans.append(ShardPlan(path, bucket, split, tuple(ids[start : start + limit])))
    return plans


def write_shard(
    path: Path, tensors: Mapping[str, Tensor], content_key: str, facts: Mapping[str, Any] | None = None
) -> None:
    """Write a shard atomically.

    Args:
        path: its place.
        tensors: by name.
        content_key: says what it was made of; ``shard_facts`` asks for it.
        facts: JSON values that ``shard_facts`` gives back.
    """
    contiguous = {name: tensors[name].contiguous() for name in sorted(tensors)}
    # One entry alone: safetensors writes several in no certain order.
    value = json.dumps({"content_key": content_key, "facts": dict(facts or {})}, sort_keys=True)
    write_bytes(path, safetensors.torch.save(contiguous, metadata={_METADATA: value}))


def shard_facts(path: Path, content_key: str) -> dict[str, Any] | None:
    """What was written with a complete shard of that content, from this run or one interrupted later; else None."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            value = json.loads((file.metadata() or {})[_METADATA])
            return dict(value["facts"]) if value["content_key"] == content_key else None
    except (SafetensorError, OSError, KeyError, ValueError):
        return None


def require_one_size(entries: Sequence[LatentEntry], with_video: bool) -> None:
    """Refuse clips that do not stack. InputError names the first two."""
    first = entries[0]
    for entry in entries[1:]:
        same_video = not with_video or entry.video_shape == first.video_shape
        if entry.audio_shape != first.audio_shape or not same_video:
            raise InputError(
                f"clips of different sizes cannot be batched: {first.clip_id} is in bucket {first.bucket}, "
                f"{entry.clip_id} in {entry.bucket}"
            )
