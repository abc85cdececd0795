"""Reading and writing latent shards: batches by clip id, one bucket per file, verified before the first use."""

import json
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

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
from nava.data.loader.cache import ShardCache
from nava.data.shard_file import ShardFile, memory_of
from nava.data.shard_set import fetched_set, is_remote
from nava.runtime.errors import InputError
from nava.runtime.storage import write_bytes

# Below the usual limit of 1024 open files.
OPEN_SHARDS = 512
_METADATA = "nava"
_TORCH_DTYPES = {"F32": torch.float32, "BF16": torch.bfloat16}


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

    Only the wanted rows are read, and only those shards of a bucket are fetched that are wanted. Every shard's hash
    and shapes are checked when it is first used. Several threads may read at once.

    Args:
        location: a folder, or an address that fsspec knows (``s3://bucket/set``).
        cache: where shards of a bucket are kept on this machine.

    Raises:
        InputError: the location holds no index that this release reads.
    """

    def __init__(self, location: Path | str, cache: ShardCache | None = None) -> None:
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
        entries = [self._entry(clip_id) for clip_id in ids]
        if not entries:
            raise InputError("no clip to read: the list of ids is empty")
        with_video = with_video and all(entry.video_shape is not None for entry in entries)
        require_one_size(entries, with_video)
        first = entries[0]
        shapes = {AUDIO: first.audio_shape, TEXT: first.text_shape}
        if with_video and first.video_shape is not None:
            shapes[VIDEO] = first.video_shape
        stored = _TORCH_DTYPES[first.dtype]
        tensors = {name: self._memory.empty((len(entries), *shape), stored) for name, shape in shapes.items()}
        if voices := sum(len(entry.voice_slots) for entry in entries):
            tensors[VOICE] = torch.empty((voices, first.voice_width), dtype=stored)
        self._fill(tensors, entries)
        if dtype is not None:
            tensors = {name: tensor.to(dtype) for name, tensor in tensors.items()}
        return LatentBatch(
            tensors.get(VIDEO),
            tensors[AUDIO],
            tensors[TEXT],
            list(ids),
            [entry.caption for entry in entries],
            tensors.get(VOICE),
            voice_slots([entry.voice_slots for entry in entries], first.text_shape[0]),
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

    def _entry(self, clip_id: str) -> LatentEntry:
        if clip_id not in self.entries:
            raise InputError(f"clip '{clip_id}' is not among the {len(self.entries)} clips of {self.location}")
        return self.entries[clip_id]

    def _fill(self, tensors: Mapping[str, Tensor], entries: Sequence[LatentEntry]) -> None:
        """Read every clip's rows into their places, clips that follow each other in a shard at once."""
        stretches = [_Stretch(self._file(shard), *place) for shard, *place in _stretches(entries)]
        try:
            for name, tensor in tensors.items():
                memory, rows = memory_of(tensor), len(entries)
                size = len(memory) // rows
                if name == VOICE:
                    self._fill_voices(tensor, entries)
                    continue
                for part in stretches:
                    part.file.read_into(name, part.first, memory[part.place * size : (part.place + part.clips) * size])
        except (OSError, ValueError) as error:
            shards = ", ".join(sorted({entry.shard for entry in entries})[:5])
            raise damaged(self.folder / shards, str(error)) from error

    def _fill_voices(self, voice_SE: Tensor, entries: Sequence[LatentEntry]) -> None:
        memory, start = memory_of(voice_SE), 0
        size = len(memory) // len(voice_SE)
        for entry in entries:
            if count := len(entry.voice_slots):
                self._file(entry.shard).read_into(VOICE, entry.voice_row, memory[start : start + count * size])
                start += count * size

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


class _Stretch(NamedTuple):
    """Clips of a batch that follow each other in a shard: where they go, the first one's row, and how many they are."""

    file: ShardFile
    place: int
    first: int
    clips: int


def _stretches(entries: Sequence[LatentEntry]) -> Iterator[tuple[str, int, int, int]]:
    """(shard, place, first row, how many) of each."""
    place = 0
    while place < len(entries):
        shard, row, count = entries[place].shard, entries[place].row, 1
        while place + count < len(entries) and (entries[place + count].shard, entries[place + count].row) == (
            shard,
            row + count,
        ):
            count += 1
        yield shard, place, row, count
        place += count


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
