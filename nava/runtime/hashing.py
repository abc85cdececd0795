"""Content hashes of files, folders and JSON values."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nava.runtime.storage import is_part

CHUNK_BYTES = 1 << 20
SHA256_DIGITS = 64


def sha256_bytes(data: bytes) -> str:
    """SHA-256 of `data` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, read in 1 MiB pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def is_sha256(text: str) -> bool:
    """Whether a text has the form of a SHA-256: 64 lower-case hex digits."""
    return len(text) == SHA256_DIGITS and not set(text) - set("0123456789abcdef")


def sha256_tree(folder: Path) -> str:
    """SHA-256 over the sorted (relative path, file hash) pairs of a folder; times and modes do not count.

    Neither do the parts that a killed write left behind: they are no content.
    """
    return sha256_listing(
        {
            path.relative_to(folder).as_posix(): sha256_file(path)
            for path in folder.rglob("*")
            if path.is_file() and not _in_part(path.relative_to(folder))
        }
    )


def sha256_listing(sha256_by_path: Mapping[str, str]) -> str:
    """What `sha256_tree` gives for a folder with these files: relative path, with forward slashes, to content hash."""
    ordered = sorted(sha256_by_path.items(), key=lambda item: item[0].split("/"))
    return sha256_bytes("".join(f"{path}\0{sha256}\n" for path, sha256 in ordered).encode())


def _in_part(relative: Path) -> bool:
    return any(is_part(path) for path in (relative, *relative.parents))


def sha256_path(path: Path) -> str:
    """SHA-256 of a file, or of a folder's tree."""
    return sha256_tree(path) if path.is_dir() else sha256_file(path)


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no spaces, NaN refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)


def sha256_json(value: Any) -> str:
    """SHA-256 of the canonical JSON of a value."""
    return sha256_bytes(canonical_json(value).encode())
