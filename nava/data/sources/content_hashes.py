"""Hashes of media files and texts of transcripts, kept so that a folder that has grown is not read as a whole again.

What is kept is trusted while size and version of its file are the same: the etag of an object; of a file the times of
its content and of its inode, and the inode. A file can change without a trace within one tick of its file system's
clock, so that nothing is kept of a file that changed less than two seconds before it was read (FAT has the coarsest
clock, of two seconds). A file server's clock may not be behind this machine's by more than a file's age.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from time import time_ns

from nava.data.media_root import FileState, MediaRoot
from nava.runtime.errors import InputError
from nava.runtime.hashing import CHUNK_BYTES

DATABASE = "content-hashes.sqlite"
_TICK_NS = 2_000_000_000
_BATCH = 256
_WAIT_S = 60.0
_TABLE = (
    "CREATE TABLE IF NOT EXISTS known (root TEXT, path TEXT, size INTEGER, version TEXT, value TEXT, "
    "PRIMARY KEY (root, path)) WITHOUT ROWID"
)


@dataclass(frozen=True)
class HashedFile:
    """A file whose content is known."""

    path: str
    state: FileState
    sha256: str


class ContentHashes:
    """Hashes the files of a media root, and reads only those that it has not read in this state before.

    Args:
        folder: where the hashes are kept, in a database that several runs may use at once.
        threads: files read at the same time.

    Attributes:
        read_files: files that had to be read.
        read_bytes: their size.
    """

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self.folder = folder
        self.threads = threads
        self.read_files = 0
        self.read_bytes = 0
        self._connection: sqlite3.Connection | None = None

    def close(self) -> None:
        """Let go of the database; what was learnt is in it."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def text_of(self, root: MediaRoot, path: str, state: FileState | None, read: Callable[[], str]) -> str:
        """The text of a small file: what `read` says of it, or said before. Errors of `read` are not kept."""
        state = state or _state(root, path)
        text = self._kept(root, path, state)
        if text is None:
            started_ns = time_ns()
            text = read()
            if _is_settled(state, started_ns):
                self._keep(root, path, state, text)
        return text

    def of(self, root: MediaRoot, files: Sequence[tuple[str, FileState | None]]) -> Iterator[HashedFile]:
        """The hash of each file, in order; what was hashed is kept even if a later file fails.

        Args:
            root: where the files lie.
            files: path and state of each; None where the state is yet to be asked.

        Raises:
            InputError: a file went away, cannot be read, or changes while it is read.
        """
        with ThreadPoolExecutor(self.threads) as pool:
            for start in range(0, len(files), _BATCH):
                batch = [(path, state or _state(root, path)) for path, state in files[start : start + _BATCH]]
                kept = {path: self._kept(root, path, state) for path, state in batch}
                waiting = [(path, state) for path, state in batch if kept[path] is None]
                done = pool.map(lambda item: _hash(root, *item), waiting)
                for path, state in batch:
                    sha256 = kept[path]
                    if sha256 is None:
                        sha256, settled = next(done)
                        self.read_files += 1
                        self.read_bytes += state.size_bytes
                        if settled:
                            self._keep(root, path, state, sha256)
                    yield HashedFile(path, state, sha256)

    @property
    def _database(self) -> sqlite3.Connection:
        if self._connection is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / DATABASE
            try:
                self._connection = _opened(path)
            except sqlite3.OperationalError as error:
                raise InputError(f"{path} cannot be used: {error}") from error
            except sqlite3.DatabaseError:  # no database, or a damaged one: nothing in it cannot be had again
                path.unlink()
                self._connection = _opened(path)
        return self._connection

    def _kept(self, root: MediaRoot, path: str, state: FileState) -> str | None:
        query = "SELECT value FROM known WHERE root = ? AND path = ? AND size = ? AND version = ?"
        row = self._database.execute(query, (root.uri, path, state.size_bytes, state.version)).fetchone()
        return str(row[0]) if row else None

    def _keep(self, root: MediaRoot, path: str, state: FileState, value: str) -> None:
        values = (root.uri, path, state.size_bytes, state.version, value)
        self._database.execute("INSERT OR REPLACE INTO known VALUES (?, ?, ?, ?, ?)", values)


def _opened(path: Path) -> sqlite3.Connection:
    # Autocommit: a hash that was paid for is kept whatever happens to the process.
    database = sqlite3.connect(path, timeout=_WAIT_S, isolation_level=None)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        database.execute(_TABLE)
    except sqlite3.Error:
        database.close()
        raise
    return database


def _state(root: MediaRoot, path: str) -> FileState:
    state = root.state(path)
    if state is None:
        raise InputError(f"{root.uri}/{path} was there a moment ago and is gone")
    return state


def _hash(root: MediaRoot, path: str, state: FileState) -> tuple[str, bool]:
    """The hash of a file, and whether its state will tell it from any other content."""
    started_ns = time_ns()
    digest = hashlib.sha256()
    with root.open(path) as file:
        while block := file.read(CHUNK_BYTES):
            digest.update(block)
    if _state(root, path) != state:
        raise InputError(f"{root.uri}/{path} changed while it was read; wait until it is complete and start again")
    return digest.hexdigest(), _is_settled(state, started_ns)


def _is_settled(state: FileState, started_ns: int) -> bool:
    """Whether the state of a file that began to be read at a time will tell its content from any other."""
    return bool(state.version) and state.changed_ns < started_ns - _TICK_NS
