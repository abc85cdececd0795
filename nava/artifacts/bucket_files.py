"""Files of a bucket, kept here: fetched once, and again when the bucket has another file at the same address."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nava.artifacts.store_faults import may_pass, patiently, store_errors
from nava.runtime.errors import UnavailableError
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
            UnavailableError: the store does not answer, or it did not come whole, several times.
            InputError: it cannot be read.
        """
        target = folder / self.address.rpartition("/")[2]
        source = target.with_name(f"{target.name}.source.json")
        if not (self.version and target.is_file() and _recorded(source) == self._record(target)):
            with atomic_file(target) as part:
                patiently(lambda: self._copy(part))
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
            raise UnavailableError(
                f"{self.address} came with {part.stat().st_size} of its {self.size} bytes: try again"
            )


def bucket_file(address: str) -> BucketFile | None:
    """The file at an address; None if there is none.

    Raises:
        UnavailableError: the store does not answer, several times.
        InputError: it cannot be asked.
    """
    return patiently(lambda: _bucket_file(address))


def _bucket_file(address: str) -> BucketFile | None:
    with store_errors(address):
        from fsspec.core import url_to_fs

        filesystem, path = url_to_fs(address)
        # Listings are kept in memory for as long as the process lives, and the file may be another by now.
        filesystem.invalidate_cache()
        try:
            info = filesystem.info(path)
        except _NOT_THERE as error:
            # Over HTTP, fsspec says so of whatever went wrong.
            if may_pass(error):
                raise
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
