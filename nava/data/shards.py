"""Reading and writing latent shards: batches by clip id, one bucket per file, verified before the first use."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from nava.artifacts.latent_shard import (
    AUDIO,
    CODEC_FOLDER,
    TEXT,
    VIDEO,
    LatentEntry,
    damaged,
    read_index,
    verify_shard,
)
from nava.runtime.errors import InputError
from nava.runtime.storage import write_bytes

DEFAULT_CACHE_MB = 2048
OPEN_SHARDS = 64


@dataclass(frozen=True)
class LatentBatch:
    """Clips of one size.

    Attributes:
        video_BCTHW: None if one of the clips has no picture.
        audio_BLC: audio latents.
        text_BND: zero rows where there is no word.
        ids: the clips, in the order they were asked for.
        captions: the texts behind ``text_BND``.
    """

    video_BCTHW: Tensor | None  # noqa: N815
    audio_BLC: Tensor  # noqa: N815
    text_BND: Tensor  # noqa: N815
    ids: list[str]
    captions: list[str]


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


class LatentShards:
    """A folder of latent shards.

    A set that fits into ``cache_mb`` is kept in memory once read; of a larger one only the wanted rows are read. Every
    shard's hash and shapes are checked when it is first used.

    Raises:
        InputError: the folder holds no index that this release reads.
    """

    def __init__(self, folder: Path, cache_mb: int = DEFAULT_CACHE_MB) -> None:
        self.folder = folder
        self.entries: dict[str, LatentEntry] = {entry.clip_id: entry for entry in read_index(folder)}
        self._by_shard: dict[str, list[LatentEntry]] = {}
        for entry in self.entries.values():
            self._by_shard.setdefault(entry.shard, []).append(entry)
        self._verified: set[str] = set()
        self._whole: dict[str, dict[str, Tensor]] = {}
        self._open: OrderedDict[str, safe_open] = OrderedDict()
        self._keep = self._stored_bytes() <= cache_mb * 2**20

    @property
    def codec_folder(self) -> Path:
        """The codecs and the text encoder that made the latents: ``nava.latents.registry.load_codecs`` reads them."""
        return self.folder / CODEC_FOLDER

    def select(self, split: str | None = None, modality: str | None = None) -> list[LatentEntry]:
        """Index entries of a split (``train``, ``heldout``) and a modality (``av``, ``audio``), sorted by id."""
        chosen = [
            entry
            for entry in self.entries.values()
            if split in (None, entry.split) and modality in (None, entry.modality)
        ]
        return sorted(chosen, key=lambda entry: entry.clip_id)

    def ids(self, split: str | None = None, modality: str | None = None) -> list[str]:
        """Sorted ids of a split and a modality."""
        return [entry.clip_id for entry in self.select(split, modality)]

    def read(self, ids: Sequence[str]) -> LatentBatch:
        """The latents of ``ids``, in that order; ids may repeat.

        Raises:
            InputError: an unknown id, clips of different sizes, or a damaged shard.
        """
        entries = [self._entry(clip_id) for clip_id in ids]
        if not entries:
            raise InputError("no clip to read: the list of ids is empty")
        with_video = all(entry.video_shape is not None for entry in entries)
        _require_one_size(entries, with_video)
        names = (VIDEO, AUDIO, TEXT) if with_video else (AUDIO, TEXT)
        rows = [self._row(entry, names) for entry in entries]
        stacked = {name: torch.stack([row[name] for row in rows]) for name in names}
        captions = [entry.caption for entry in entries]
        return LatentBatch(stacked.get(VIDEO), stacked[AUDIO], stacked[TEXT], list(ids), captions)

    def verify(self) -> None:
        """Check every shard's hash, rows, dtypes, shapes and that all values are finite.

        Raises:
            InputError: names the first bad shard.
        """
        for shard, entries in self._by_shard.items():
            verify_shard(self.folder, entries)
            self._verified.add(shard)
            for name, tensor in self._load(shard).items():
                if not torch.isfinite(tensor).all():
                    raise damaged(self.folder / shard, f"{name} holds values that are not finite")

    def _entry(self, clip_id: str) -> LatentEntry:
        if clip_id not in self.entries:
            raise InputError(f"clip '{clip_id}' is not among the {len(self.entries)} clips of {self.folder}")
        return self.entries[clip_id]

    def _row(self, entry: LatentEntry, names: Sequence[str]) -> dict[str, Tensor]:
        if entry.shard not in self._verified:
            verify_shard(self.folder, self._by_shard[entry.shard])
            self._verified.add(entry.shard)
        if self._keep:
            if entry.shard not in self._whole:
                self._whole[entry.shard] = self._load(entry.shard)
            return {name: self._whole[entry.shard][name][entry.row] for name in names}
        file = self._file(entry.shard)
        return {name: file.get_slice(name)[entry.row : entry.row + 1][0] for name in names}

    def _load(self, shard: str) -> dict[str, Tensor]:
        try:
            return safetensors.torch.load_file(self.folder / shard)
        except (SafetensorError, OSError) as error:
            raise damaged(self.folder / shard, str(error)) from error

    def _file(self, shard: str) -> safe_open:
        if shard not in self._open:
            self._open[shard] = safe_open(self.folder / shard, framework="pt")
            if len(self._open) > OPEN_SHARDS:
                self._open.popitem(last=False)
        self._open.move_to_end(shard)
        return self._open[shard]

    def _stored_bytes(self) -> int:
        paths = [self.folder / shard for shard in self._by_shard]
        return sum(path.stat().st_size for path in paths if path.is_file())


def plan_shards(clips: Mapping[str, tuple[str, str]], clips_per_shard: int) -> list[ShardPlan]:
    """Distribute clips over shards: a function of the ids alone, so that a restarted step makes the same files.

    Args:
        clips: (bucket, split) of every clip, by id.
        clips_per_shard: at most so many clips per file.
    """
    if clips_per_shard < 1:
        raise InputError(f"encoding.clips_per_shard must be at least 1, got {clips_per_shard}")
    groups: dict[tuple[str, str], list[str]] = {}
    for clip_id in sorted(clips):
        groups.setdefault(clips[clip_id], []).append(clip_id)
    plans: list[ShardPlan] = []
    numbers: dict[str, int] = {}
    for (bucket, split), ids in sorted(groups.items()):
        for start in range(0, len(ids), clips_per_shard):
            number = numbers.get(bucket, 0)
            numbers[bucket] = number + 1
            path = f"{bucket}/{number:05d}.safetensors"
            plans.append(ShardPlan(path, bucket, split, tuple(ids[start : start + clips_per_shard])))
    return plans


def write_shard(path: Path, tensors: Mapping[str, Tensor], content_key: str) -> None:
    """Write a shard atomically; ``content_key`` says what it was made of and is found again by ``is_written``."""
    contiguous = {name: tensors[name].contiguous() for name in sorted(tensors)}
    write_bytes(path, safetensors.torch.save(contiguous, metadata={"content_key": content_key}))


def is_written(path: Path, content_key: str) -> bool:
    """Whether a complete shard of that content lies at ``path``, from a run that was interrupted later."""
    if not path.is_file():
        return False
    try:
        with safe_open(path, framework="pt") as file:
            return bool((file.metadata() or {}).get("content_key") == content_key)
    except (SafetensorError, OSError):
        return False


def _require_one_size(entries: Sequence[LatentEntry], with_video: bool) -> None:
    first = entries[0]
    for entry in entries[1:]:
        same_video = not with_video or entry.video_shape == first.video_shape
        if entry.audio_shape != first.audio_shape or not same_video:
            raise InputError(
                f"clips of different sizes cannot be batched: {first.clip_id} is in bucket {first.bucket}, "
                f"{entry.clip_id} in {entry.bucket}"
            )
