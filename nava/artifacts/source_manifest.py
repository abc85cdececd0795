"""The source manifest: the media files a corpus is made from, and every file beside them that is not, with the reason.

`sources.parquet` has one row per distinct content; `ignored.parquet` one row per entry that did not become a source.
Paths are relative to the media root of their collection and use forward slashes; the roots themselves are facts of the
machine and lie in the handle's meta (`media_roots`, by collection), outside the hashed files.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nava.runtime.storage import atomic_file

SCHEMA_VERSION = 2
SOURCES_NAME = "sources.parquet"
IGNORED_NAME = "ignored.parquet"


class IgnoreReason(StrEnum):
    """Why an entry of a media folder did not become a source. A new reason is a new schema version."""

    NOT_MEDIA = "not_media"  # the extension is not one of a media file
    HIDDEN = "hidden"  # a name with a leading dot: thumbnails, AppleDouble files, repositories
    EXACT_DUPLICATE = "exact_duplicate"  # the same bytes as a source
    SIDECAR_WITHOUT_MEDIA = "sidecar_without_media"
    SYMLINK_OUTSIDE = "symlink_outside"  # leads out of the folder, is not followed
    SYMLINK_TO_FOLDER = "symlink_to_folder"  # what it leads to is read at its own place
    SYMLINK_BROKEN = "symlink_broken"
    NOT_A_REGULAR_FILE = "not_a_regular_file"
    NOT_READABLE = "not_readable"
    NAME_NOT_UTF8 = "name_not_utf8"
    PATH_OUTSIDE = "path_outside"  # the key of an object that would lead out of the media root
    SIDECAR_UNREADABLE = "sidecar_unreadable"  # no WebVTT, no UTF-8, or too large; its media are a source without it
    MEDIA_MISSING = "media_missing"  # metadata name it, the media root does not have it
    INVALID_ROW = "invalid_row"  # a row of published metadata with a value that cannot be
    DUPLICATE_ROW = "duplicate_row"  # a row that says the same as one before it
    MIXTURE_SHARE = "mixture_share"  # usable, and not drawn: its collection has more than its share


@dataclass(frozen=True)
class Segment:
    """A span of a source that metadata point at.

    Attributes:
        t0_us: start on the source's clock, in microseconds.
        t1_us: end, above the start.
        hints: what the metadata say of the span, as a JSON object; never trusted as a label.
    """

    t0_us: int
    t1_us: int
    hints: str = "{}"


@dataclass(frozen=True)
class Source:
    """One media file.

    Attributes:
        source_id: `src-` and 16 hex digits of the content's sha256: the same bytes are the same source anywhere.
        path: relative to the media root of its collection.
        sha256: of the file's bytes.
        size_bytes: of the file.
        sidecar_path: file that the transcript was read from, relative to the media root, or None.
        licence: under which the media are used; empty if the user did not say.
        origin: where they come from; empty if the user did not say.
        collection: name of the part of the mixture it belongs to; empty where there is only one.
        etag: of the object, for media in a bucket; empty for files of a folder.
        transcript: what is said, as WebVTT on the source's clock with `<v Speaker>` voices; None if nobody wrote it.
        segments: the only spans to be used, in order; none means the whole source.
        hints: what metadata say of the source (caption, scores), as a JSON object; never trusted as a label.
    """

    source_id: str
    path: str
    sha256: str
    size_bytes: int
    sidecar_path: str | None
    licence: str
    origin: str
    collection: str = ""
    etag: str = ""
    transcript: str | None = None
    segments: tuple[Segment, ...] = ()
    hints: str = "{}"


@dataclass(frozen=True)
class IgnoredFile:
    """One entry of the folder, or of the metadata, that is no source.

    Attributes:
        path: relative to the media root (bytes that are no UTF-8 are escaped), or a row: `clips.csv, row 7`.
        reason: from `IgnoreReason`.
        duplicate_of: id of the source with the same bytes, for `exact_duplicate`.
        collection: as in `Source`.
        detail: what exactly is wrong, where the reason does not say it.
    """

    path: str
    reason: IgnoreReason
    duplicate_of: str | None = None
    collection: str = ""
    detail: str = ""


def _metadata(artifact: str) -> dict[bytes, bytes]:
    return {b"nava.artifact": artifact.encode(), b"nava.schema_version": str(SCHEMA_VERSION).encode()}


_SEGMENT = pa.struct(
    [
        pa.field("t0_us", pa.int64(), nullable=False),
        pa.field("t1_us", pa.int64(), nullable=False),
        pa.field("hints", pa.string(), nullable=False),
    ]
)
SOURCES_SCHEMA = pa.schema(
    [
        pa.field("source_id", pa.string(), nullable=False),
        pa.field("path", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
        pa.field("size_bytes", pa.int64(), nullable=False),
        pa.field("sidecar_path", pa.string()),
        pa.field("licence", pa.string(), nullable=False),
        pa.field("origin", pa.string(), nullable=False),
        pa.field("collection", pa.string(), nullable=False),
        pa.field("etag", pa.string(), nullable=False),
        pa.field("transcript", pa.string()),
        pa.field("segments", pa.list_(_SEGMENT), nullable=False),
        pa.field("hints", pa.string(), nullable=False),
    ],
    metadata=_metadata("source_manifest"),
)
IGNORED_SCHEMA = pa.schema(
    [
        pa.field("path", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("duplicate_of", pa.string()),
        pa.field("collection", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ],
    metadata=_metadata("ignored_files"),
)


def source_id(sha256: str) -> str:
    """The id of a source: a function of its bytes only."""
    return f"src-{sha256[:16]}"


def count_ignored(ignored: Sequence[IgnoredFile]) -> dict[str, int]:
    """How many entries were left out, by reason, most frequent first."""
    counts = Counter(str(item.reason) for item in ignored)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def write_sources(folder: Path, sources: Sequence[Source], ignored: Sequence[IgnoredFile] = ()) -> Path:
    """Write both tables into `folder`, sorted by collection and path, each atomically.

    The sources come last: where they are, both are.

    Returns:
        The folder.

    Raises:
        ValueError: source ids repeat.
    """
    repeated = [name for name, count in Counter(source.source_id for source in sources).items() if count > 1]
    if repeated:
        raise ValueError(f"source ids repeat: {repeated[:3]}")
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / IGNORED_NAME, [asdict(item) for item in ignored], IGNORED_SCHEMA)
    _write(folder / SOURCES_NAME, [asdict(source) for source in sources], SOURCES_SCHEMA)
    return folder


def _write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    table = pa.Table.from_pylist(
        sorted(rows, key=lambda row: (str(row["collection"]), str(row["path"]))), schema=schema
    )
    with atomic_file(path) as partial:
        pq.write_table(table, partial, compression="zstd")


def read_sources(folder: Path) -> list[Source]:
    """The sources of the manifest in `folder`, by collection and path.

    Raises:
        FileNotFoundError: there is no manifest.
        ValueError: the file is of another kind or schema version, or a path leads out of the media root.
    """
    rows = _read(folder / SOURCES_NAME, SOURCES_SCHEMA)
    for row in rows:
        for name in (row["path"], row["sidecar_path"]):
            if name is not None and not stays_inside(str(name)):
                raise ValueError(f"{folder / SOURCES_NAME}: the path {name!r} leads out of the media root")
        row["segments"] = tuple(Segment(**segment) for segment in row["segments"])
    return [Source(**row) for row in rows]


def read_ignored(folder: Path) -> list[IgnoredFile]:
    """The entries that are no sources, by path; errors as in `read_sources`."""
    rows = _read(folder / IGNORED_NAME, IGNORED_SCHEMA)
    return [IgnoredFile(**{**row, "reason": IgnoreReason(row["reason"])}) for row in rows]


def stays_inside(path: str) -> bool:
    """Whether a relative path with forward slashes cannot lead out of what it is relative to."""
    return bool(path) and not path.startswith("/") and ".." not in path.split("/")


def _read(path: Path, schema: pa.Schema) -> list[dict[str, Any]]:
    table = pq.read_table(path, partitioning=None)
    found: Mapping[bytes, bytes] = table.schema.metadata or {}
    expected: Mapping[bytes, bytes] = schema.metadata
    if any(found.get(key) != value for key, value in expected.items()):
        artifact = expected[b"nava.artifact"].decode()
        raise ValueError(f"{path}: not a table of kind {artifact}, schema version {SCHEMA_VERSION}")
    rows: list[dict[str, Any]] = table.to_pylist()
    return rows
