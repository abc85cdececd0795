"""Packs clip files into tar shards: the same bytes from the same files, and old shards stay as they are."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from nava.artifacts.media_shard import SHARD_SUFFIX, MediaFile, PackedFile
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import atomic_file

# Shards under half the wanted size, as small additions leave them, are merged once there are more than this.
MAX_SMALL_SHARDS = 16
# Part of a shard's name: raise it when the same files would be packed into other bytes.
_FORMAT = "tar-1"

# Opens the bytes of a file, wherever they are.
OpenMedia = Callable[[MediaFile], AbstractContextManager[BinaryIO]]


@dataclass(frozen=True)
class PackingPlan:
    """Which shards of the parent stay, and which files go into each new one.

    Attributes:
        kept: files in shards of the parent that are left as they are.
        new: the files of every shard to write, in the order in which they are packed.
    """

    kept: list[PackedFile]
    new: list[list[PackedFile]]

    @property
    def files(self) -> list[PackedFile]:
        """Every file of the version."""
        return [*self.kept, *(item for shard in self.new for item in shard)]


def plan_shards(wanted: Mapping[str, MediaFile], parent: Sequence[PackedFile], shard_bytes: float) -> PackingPlan:
    """Decide where the files of a version go.

    A shard of the parent of which every file is still wanted stays. What is left of the other shards and the files that
    are new are packed together, by source, so that forgetting a source later touches few shards. The order in which
    files are named has no influence.

    Args:
        wanted: every file of the version by its path.
        parent: the files of the version before, as they are packed.
        shard_bytes: a shard is closed before the source that would make it larger; a larger source is split.
    """
    kept: list[PackedFile] = []
    small: list[list[PackedFile]] = []
    for members in shards_of(parent).values():
        if any(wanted.get(item.path) != as_media(item) for item in members):
            continue
        if sum(item.size_bytes for item in members) < shard_bytes / 2:
            small.append(members)
        else:
            kept.extend(members)
    if len(small) <= MAX_SMALL_SHARDS:
        kept.extend(item for members in small for item in members)
    placed = {item.path for item in kept}
    rest = [item for path, item in wanted.items() if path not in placed]
    return PackingPlan(kept, [_place(files) for files in _fill(rest, shard_bytes)])


def write_shard(folder: Path, files: Sequence[PackedFile], open_media: OpenMedia) -> Path:
    """Write one planned shard into `folder`; one that an earlier, killed attempt finished is left as it is.

    Raises:
        InputError: a file is not what its hash says, or cannot be read.
    """
    target = folder / f"{files[0].shard}{SHARD_SUFFIX}"
    if target.is_file():
        return target
    with atomic_file(target) as part, tarfile.open(part, "w", format=tarfile.PAX_FORMAT) as tar:
        for item in files:
            _add(tar, item, open_media)
    return target


def shards_of(files: Iterable[PackedFile]) -> dict[str, list[PackedFile]]:
    """The files of each shard in the order in which they lie there."""
    by_shard: dict[str, list[PackedFile]] = defaultdict(list)
    for item in sorted(files, key=lambda item: (item.shard, item.offset)):
        by_shard[item.shard].append(item)
    return dict(by_shard)


def as_media(item: MediaFile) -> MediaFile:
    """The file without its place, if it has one."""
    return MediaFile(item.path, item.sha256, item.size_bytes, item.src_id)


def _fill(files: Iterable[MediaFile], shard_bytes: float) -> list[list[MediaFile]]:
    """Files by source and path, cut into runs of about `shard_bytes`, at the border of a source where one is near."""
    by_source: dict[str, list[MediaFile]] = defaultdict(list)
    for item in sorted(files, key=lambda item: (item.src_id, item.path)):
        by_source[item.src_id].append(item)
    runs: list[list[MediaFile]] = []
    room = 0.0
    for members in by_source.values():
        if sum(item.size_bytes for item in members) > room:
            room = 0.0
        for item in members:
            if not runs or item.size_bytes > room:
                runs.append([])
                room = shard_bytes
            runs[-1].append(item)
            room -= item.size_bytes
    return [run for run in runs if run]


def _place(files: Sequence[MediaFile]) -> list[PackedFile]:
    """Where each file will lie, and the shard's name, without writing anything."""
    name = sha256_json({"format": _FORMAT, "files": [[item.path, item.sha256, item.size_bytes] for item in files]})
    placed, at = [], 0
    for item in files:
        at += len(_header(item).tobuf(tarfile.PAX_FORMAT))
        placed.append(PackedFile(**asdict(item), shard=name, offset=at))
        at += -(-item.size_bytes // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
    return placed


def _header(item: MediaFile) -> tarfile.TarInfo:
    """A header that says nothing of this machine, this user or this moment."""
    header = tarfile.TarInfo(item.path)
    header.size, header.mode = item.size_bytes, 0o644
    return header


def _add(tar: tarfile.TarFile, item: PackedFile, open_media: OpenMedia) -> None:
    try:
        with open_media(item) as raw:
            source = _Hashed(raw)
            tar.addfile(_header(item), cast(Any, source))
            longer = bool(raw.read(1))
    except (OSError, shutil.Error) as error:
        raise InputError(f"clip file {item.path} cannot be packed: {error}") from error
    found = source.sha256.hexdigest()
    if longer or found != item.sha256:
        raise InputError(
            f"clip file {item.path} is not what the manifest says: sha256 {found[:12]} instead of {item.sha256[:12]}. "
            "Curate its source again."
        )


class _Hashed:
    """A file that hashes what is read from it."""

    def __init__(self, raw: BinaryIO) -> None:
        self.raw, self.sha256 = raw, hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        data = self.raw.read(size)
        self.sha256.update(data)
        return data
