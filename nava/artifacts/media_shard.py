"""Media shards: the clip files of a corpus version in uncompressed tar files, and the index that finds each of them.

::

    media.parquet          one row per file: path, sha256, size, source, shard and offset, sorted by path
    shards/<name>.tar      the files of a few sources; the name is a hash of what is in it, in which order

Ten thousand clips are a few tar files, any of which `tar` unpacks. The offsets let a reader take one file out of a
shard, in a bucket too, without reading the others.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from nava.runtime.hashing import is_sha256

SCHEMA_VERSION = 1
INDEX_NAME = "media.parquet"
SHARDS_DIR = "shards"
SHARD_SUFFIX = ".tar"

SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("src_id", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
    ],
    metadata={b"nava.artifact": b"media_index", b"nava.schema_version": str(SCHEMA_VERSION).encode()},
)


@dataclass(frozen=True, slots=True)
class MediaFile:
    """A file of a clip.

    Attributes:
        path: relative to the manifest's folder, with forward slashes.
        sha256: of its bytes.
        size_bytes: how many they are.
        src_id: the source that the clip was cut from.
    """

    path: str
    sha256: str
    size_bytes: int
    src_id: str


@dataclass(frozen=True, slots=True)
class PackedFile(MediaFile):
    """A file of a clip and where its bytes lie.

    Attributes:
        shard: name of the shard, 64 hex digits.
        offset: of the file's first byte in the shard.
    """

    shard: str
    offset: int


def shard_path(shard: str) -> str:
    """Where a shard lies, relative to the version's folder."""
    return f"{SHARDS_DIR}/{shard}{SHARD_SUFFIX}"


def stays_inside(path: str) -> bool:
    """Whether a relative path with forward slashes names a file within its folder."""
    parts = path.split("/")
    return bool(path) and "\\" not in path and not {"", ".", ".."} & set(parts)


def write_media_index(file: BinaryIO, files: Sequence[PackedFile]) -> None:
    """Write the index into an open file, rows sorted by path."""
    rows = [asdict(item) for item in sorted(files, key=lambda item: item.path)]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), file, compression="zstd")


def read_media_index(file: BinaryIO) -> list[PackedFile]:
    """Read the index, by path.

    Raises:
        ValueError: the file is of another kind or schema version, or a path leads out of the folder.
    """
    table = pq.read_table(file)
    found = table.schema.metadata or {}
    if any(found.get(key) != value for key, value in SCHEMA.metadata.items()):
        raise ValueError(f"{INDEX_NAME} is not an index of media shards of schema version {SCHEMA_VERSION}")
    files = [PackedFile(**row) for row in table.to_pylist()]
    for item in files:
        if not stays_inside(item.path) or not is_sha256(item.shard):
            raise ValueError(f"{INDEX_NAME}: {item.path!r} in shard {item.shard!r} leads out of the folder")
    return files
