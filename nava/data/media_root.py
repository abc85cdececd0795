"""Where media lie: a folder of this machine, or a bucket. Files are named by paths relative to it.

The address of a root is all a worker needs to open its files: a folder's path, or an fsspec address such as
`s3://bucket/media`. Credentials come from the environment (boto's own variables and files); an S3 endpoint other than
Amazon's is part of the address: `s3://bucket/media?endpoint_url=http://storage:9000`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from nava.artifacts.bucket_files import content_version
from nava.artifacts.store_faults import store_errors
from nava.runtime.errors import InputError

_ENDPOINT = "?endpoint_url="
_BLOCK_BYTES = 1 << 23


@dataclass(frozen=True)
class FileState:
    """What tells one state of a file from another without reading it.

    Attributes:
        size_bytes: of the file.
        version: an etag, or a file's times and inode; empty where the store says nothing.
        changed_ns: when the file last changed, by its file system's clock; 0 where `version` is of the content.
    """

    size_bytes: int
    version: str
    changed_ns: int = 0


class MediaRoot(ABC):
    """A folder or a bucket with media files."""

    uri: str

    @abstractmethod
    def state(self, path: str) -> FileState | None:
        """The state of a file; None if there is none. InputError if the store cannot be asked."""

    @abstractmethod
    def open(self, path: str) -> Any:
        """A context manager over the file, opened for reading bytes. InputError for whatever goes wrong."""


@dataclass(frozen=True)
class FolderRoot(MediaRoot):
    """A folder of this machine, by its real path."""

    folder: Path

    @property
    def uri(self) -> str:  # type: ignore[override]
        """The folder's path."""
        return str(self.folder)

    def state(self, path: str) -> FileState | None:
        """Size, times and inode: the time of the content can be set back, that of the inode cannot."""
        try:
            info = (self.folder / path).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise InputError(f"{self.folder / path} cannot be read: {error.strerror}") from error
        version = f"{info.st_mtime_ns}-{info.st_ctime_ns}-{info.st_ino}"
        return FileState(info.st_size, version, max(info.st_mtime_ns, info.st_ctime_ns))

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """The file, opened for reading."""
        try:
            with (self.folder / path).open("rb") as file:
                yield file
        except OSError as error:
            raise InputError(f"{self.folder / path} cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class BucketRoot(MediaRoot):
    """A prefix of a bucket, or whatever else fsspec can list."""

    uri: str

    def state(self, path: str) -> FileState | None:
        """Size and etag, asked of the store and not of a listing kept in memory."""
        with store_errors(f"{self.address}/{path}"):
            filesystem, base = self.filesystem()
            try:
                info = filesystem.info(f"{base}/{path}")
            except FileNotFoundError:
                return None
        return file_state(info) if info.get("type") == "file" else None

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """The object, read ahead in blocks of 8 MiB."""
        with store_errors(f"{self.address}/{path}"):
            filesystem, base = self.filesystem()
            with filesystem.open(f"{base}/{path}", "rb", block_size=_BLOCK_BYTES) as file:
                yield file

    @property
    def address(self) -> str:
        """The address without the endpoint."""
        return self.uri.partition(_ENDPOINT)[0]

    def filesystem(self) -> tuple[Any, str]:
        """The fsspec file system and this root's path in it, without a slash at the end."""
        from fsspec.core import url_to_fs

        address, _, endpoint = self.uri.partition(_ENDPOINT)
        options = {"endpoint_url": endpoint} if endpoint else {}
        filesystem, base = url_to_fs(address, use_listings_cache=False, **options)
        return filesystem, str(base).rstrip("/")


def file_state(info: dict[str, Any]) -> FileState:
    """The state of an object, from what fsspec says of it."""
    # Some stores tell a time as a number in a listing and as a date when asked for one object.
    plain = {name: value.timestamp() if isinstance(value, datetime) else value for name, value in info.items()}
    version = "".join(content_version(plain).values())
    return FileState(int(info.get("size") or 0), version.strip('"'))


def media_root(uri: str, endpoint_url: str = "") -> MediaRoot:
    """The root at an address, which need not exist yet.

    Args:
        uri: a path, a `file://` address, or an fsspec address, with or without an endpoint.
        endpoint_url: of the S3 service, for an address that does not name one.

    Raises:
        InputError: an endpoint for something else than S3, or one with a password in it.
    """
    if "://" not in uri or uri.startswith("file://"):
        return FolderRoot(Path(uri.removeprefix("file://")).expanduser().resolve())
    address, _, endpoint = uri.partition(_ENDPOINT)
    endpoint = endpoint or (endpoint_url if address.startswith(("s3://", "s3a://")) else "")
    if endpoint:
        _check_endpoint(address, endpoint)
    address = address.rstrip("/") if address.rstrip("/")[-1:] != ":" else address
    return BucketRoot(f"{address}{_ENDPOINT}{endpoint}" if endpoint else address)


def _check_endpoint(address: str, endpoint: str) -> None:
    parts = urlsplit(endpoint)
    if not address.startswith(("s3://", "s3a://")):
        raise InputError(f"{address} is not of S3, so it can have no endpoint_url")
    if parts.username or parts.password:
        raise InputError("an endpoint_url must not contain a password: credentials are read from the environment")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise InputError(f"endpoint_url is {endpoint!r}; it must be an address such as https://storage.example:9000")


def readable_folder(root: FolderRoot) -> Path:
    """The folder of a root, checked.

    Raises:
        InputError: it is missing, is no folder, or cannot be read.
    """
    path = root.folder
    if not path.exists():
        raise InputError(f"source folder {path} does not exist")
    if not path.is_dir():
        raise InputError(f"source {path} is not a folder; give the folder that holds the media files")
    if not os.access(path, os.R_OK | os.X_OK):
        raise InputError(f"source folder {path} cannot be read; check its permissions")
    return path
