"""A cache of shards on this machine: fetched once, verified, the least recently used ones removed for want of room.

Files are named by their hash, so that sets share them and a changed shard is another file. Any number of processes may
use a folder at once: who fetches or opens a file holds a lock that goes with the process, however it ends, and whoever
makes room leaves locked files alone. A file that was opened stays readable after it was removed.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nava.artifacts.store_faults import patiently, store_errors
from nava.config.loader import LoaderConfig
from nava.runtime.errors import InputError
from nava.runtime.storage import atomic_file, is_part

DEFAULT_FOLDER = Path("~/.cache/nava/shards")
_BLOCK_BYTES = 1 << 22


class ShardCache:
    """A folder of fetched files.

    Args:
        folder: made when it is first needed.
        max_bytes: how much it may hold; a file that is larger is kept until the next one comes.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder.expanduser()
        self.max_bytes = max_bytes

    @classmethod
    def of(cls, config: LoaderConfig) -> ShardCache:
        """The cache that the settings describe."""
        return cls(Path(config.cache_folder) if config.cache_folder else DEFAULT_FOLDER, config.cache_mb * 2**20)

    @classmethod
    def default(cls) -> ShardCache:
        """The cache of the settings' defaults."""
        return cls.of(LoaderConfig())

    @contextmanager
    def held(self, address: str, sha256: str) -> Iterator[Path]:
        """A file of that hash, fetched from ``address`` unless it is here; it is not removed inside the block.

        Raises:
            UnavailableError: the store does not answer, several times.
            InputError: it cannot be fetched, or what came has another hash.
        """
        path = self.folder / sha256[:2] / f"{sha256}.safetensors"
        fetched = False
        with _locked(path.parent):
            if path.is_file():
                path.touch()
            else:
                _fetch(address, sha256, path)
                fetched = True
            yield path
        if fetched:
            self.make_room(keep=path)

    def drop(self, sha256: str) -> None:
        """Remove a file that turned out to be damaged."""
        path = self.folder / sha256[:2] / f"{sha256}.safetensors"
        path.unlink(missing_ok=True)

    def make_room(self, keep: Path | None = None) -> None:
        """Remove what was not used for longest until the rest fits; files in use and ``keep`` stay."""
        with _locked(self.folder):
            files = [(path.stat(), path) for path in self.folder.glob("??/*.safetensors") if not is_part(path)]
            total = sum(stat.st_size for stat, _ in files)
            for stat, path in sorted(files, key=lambda item: (item[0].st_mtime_ns, item[1].name)):
                if total <= self.max_bytes:
                    return
                if path != keep and _removed(path):
                    total -= stat.st_size


def _removed(path: Path) -> bool:
    with (path.parent / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        path.unlink(missing_ok=True)
    return True


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _fetch(address: str, sha256: str, path: Path) -> None:
    # Nobody else fetches here: what is left is of a process that was killed.
    for part in [part for part in path.parent.iterdir() if is_part(part)]:
        part.unlink()
    with atomic_file(path) as temporary:
        found = patiently(lambda: _copied(address, temporary))
        if found != sha256:
            raise InputError(
                f"{address} came with sha256 {found[:12]}, the index says {sha256[:12]}: the shard is "
                "damaged or was replaced; upload the set again"
            )


def _copied(address: str, target: Path) -> str:
    """Copy a file here; returns the SHA-256 of what came."""
    import fsspec

    digest = hashlib.sha256()
    with store_errors(address, "fetched"), fsspec.open(address, "rb") as source, target.open("wb") as copy:
        while block := source.read(_BLOCK_BYTES):
            digest.update(block)
            copy.write(block)
    return digest.hexdigest()
