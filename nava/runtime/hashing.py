"""Content hashes of files, folders and JSON values."""

import hashlib
import json
from pathlib import Path
from typing import Any

from nava.runtime.storage import is_part

CHUNK_BYTES = 1 << 20


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


def sha256_tree(folder: Path) -> str:
    """SHA-256 over the sorted (relative path, file hash) pairs of a folder; times and modes do not count.

    Neither do the parts that a killed write left behind: they are no content.
    """
    lines = [
        f"{path.relative_to(folder).as_posix()}\0{sha256_file(path)}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _in_part(path.relative_to(folder))
    ]
    return sha256_bytes("".join(lines).encode())


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
