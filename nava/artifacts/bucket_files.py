"""Files of a bucket, kept here: fetched once, and again when the bucket has another file at the same address."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nava.runtime.errors import InputError
from nava.runtime.storage import atomic_file, read_json, write_json

# What fsspec's file systems call that which changes with a file's content, surest first.
_VERSION_FIELDS = (
    "ETag",
    "etag",
    "md5Hash",
    "crc32c",
    "Content-MD5",
    "content_md5",
    "Digest",
    "checksum",
    "generation",
    "mtime",
    "LastModified",
    "last_modified",
    "Last-Modified",
    "updated",
    "created",
)
# Some stores deny what is not there to those who may not list.
_NOT_THERE = (FileNotFoundError, NotADirectoryError, IsADirectoryError, PermissionError)
_BLOCK_BYTES = 1 << 24


@dataclass(frozen=True)
class BucketFile:
    """A file in a bucket.

    Attributes:
        address: its whole address.
        size: in bytes; None where the store does not say.
        version: what the store says of its content: size, and a hash or a time.
    """

    address: str
    size: int | None
    version: dict[str, str]

    def fetch(self, folder: Path) -> Path:
        """The file under its own name in a folder, fetched unless what is there came from this very version.

        Raises:
            InputError: it cannot be read, or did not come whole.
        """
        target = folder / self.address.rpartition("/")[2]
        source = target.with_name(f"{target.name}.source.json")
        if not (self.version and target.is_file() and _recorded(source) == self._record(target)):
            with atomic_file(target) as part:
                self._copy(part)
            write_json(source, self._record(target))
        return target.absolute()

    def _record(self, target: Path) -> dict[str, Any]:
        return {"address": self.address, "version": self.version, "size_here": target.stat().st_size}

    def _copy(self, part: Path) -> None:
        import fsspec

        with store_errors(self.address), fsspec.open(self.address, "rb") as source, part.open("wb") as copy:
            while block := source.read(_BLOCK_BYTES):
                copy.write(block)
        if self.size is not None and part.stat().st_size != self.size:
            raise InputError(f"{self.address} came with {part.stat().st_size} of its {self.size} bytes: try again")


def bucket_file(address: str) -> BucketFile | None:
    """The file at an address; None if there is none. InputError if the store cannot be asked."""
    with store_errors(address):
        from fsspec.core import url_to_fs

        filesystem, path = url_to_fs(address)
        # Listings are kept in memory for as long as the process lives, and the file may be another by now.
        filesystem.invalidate_cache()
        try:
            info = filesystem.info(path)
        except _NOT_THERE:
            return None
    if info.get("type", "file") != "file":
        return None
    size = info.get("size")
    version = ({} if size is None else {"size": str(size)}) | content_version(info)
    return BucketFile(address, None if size is None else int(size), version)


def content_version(info: Mapping[str, Any]) -> dict[str, str]:
    """What a store says of a file that changes with its content, under the store's own name; empty if nothing."""
    field = next((field for field in _VERSION_FIELDS if info.get(field)), None)
    return {} if field is None else {field: str(info[field])}


def bucket_names(address: str) -> list[str]:
    """Names of the files that lie in a folder of a bucket; none where it cannot be listed."""
    from fsspec.core import url_to_fs

    try:
        filesystem, path = url_to_fs(address)
        filesystem.invalidate_cache()
        entries = filesystem.ls(path, detail=True)
    except Exception:  # each store has exceptions of its own, and many do not list
        return []
    return [str(entry["name"]).rpartition("/")[2] for entry in entries if entry.get("type") == "file"]


def _recorded(source: Path) -> Any:
    try:
        return read_json(source)
    except (OSError, ValueError):
        return None


@contextmanager
def store_errors(address: str) -> Iterator[None]:
    """Whatever a store raises becomes an InputError of one line."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # each store has exceptions of its own
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
        raise InputError(f"{address} cannot be read: {reason}") from error
