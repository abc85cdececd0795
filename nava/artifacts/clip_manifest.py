"""The clip manifest: one parquet row for every record curation saw, kept or not, with every score and the reason.

A record is a clip (a window of a scene, or of an audio-only file) or, where a file never became clips, the source
itself. Media lie beside the manifest: `media/<clip_id>.mp4` (picture, and sound for viewing), `media/<clip_id>.wav`
(16 kHz, for the model), `media/<clip_id>.flac` (48 kHz), `thumbnails/<clip_id>.jpg`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from nava.runtime.storage import atomic_file

SCHEMA_VERSION = 2
MANIFEST_NAME = "clips.parquet"
MEDIA_DIR = "media"
THUMBNAIL_DIR = "thumbnails"


class Status(StrEnum):
    """How a record ended."""

    KEPT = "kept"
    DROPPED = "dropped"
    FAILED = "failed"
    QUARANTINED = "quarantined"


class Reason(StrEnum):
    """Why a record was not kept. The list is fixed: a new reason is a new schema version."""

    UNDECODABLE = "undecodable"  # cannot be opened as media, or nothing of it decodes
    TRUNCATED = "truncated"  # decodes, but ends before the container says
    DAMAGED = "damaged"  # too many packet errors and corrupt frames, or a gap in the decoded times
    UNREADABLE = "unreadable"  # the bytes could not be had, or are not those that were ingested
    TOO_LONG = "too_long"
    TOO_SHORT = "too_short"
    NO_AUDIO_TRACK = "no_audio_track"
    SILENT = "silent"
    TOO_QUIET = "too_quiet"
    CLIPPED_AUDIO = "clipped_audio"
    STATIC_PICTURE = "static_picture"
    BLURRED = "blurred"
    BADLY_EXPOSED = "badly_exposed"
    BLOCKY = "blocky"
    SUBTITLE_TEXT = "subtitle_text"
    AUDIO_VIDEO_OFFSET = "audio_video_offset"
    NEAR_DUPLICATE = "near_duplicate"
    CAPTION_FAILED = "caption_failed"
    SPEECH_FAILED = "speech_failed"
    WORKER_KILLED = "worker_killed"
    TIMED_OUT = "timed_out"
    STAGE_ERROR = "stage_error"


QUARANTINE_REASONS = frozenset(
    {
        Reason.UNDECODABLE,
        Reason.TRUNCATED,
        Reason.DAMAGED,
        Reason.UNREADABLE,
        Reason.WORKER_KILLED,
        Reason.TIMED_OUT,
    }
)
FAILURE_REASONS = frozenset({Reason.STAGE_ERROR, Reason.CAPTION_FAILED, Reason.SPEECH_FAILED})


def status_of(reason: Reason) -> Status:
    """Untrusted files are quarantined, records that a stage stumbled over have failed, the rest is dropped."""
    if reason in QUARANTINE_REASONS:
        return Status.QUARANTINED
    return Status.FAILED if reason in FAILURE_REASONS else Status.DROPPED


class Modality(StrEnum):
    """What a clip holds; the empty value belongs to files that could not be read."""

    AUDIO_VIDEO = "av"
    AUDIO = "audio"
    UNKNOWN = ""


class Split(StrEnum):
    """Which part of the corpus a source belongs to."""

    TRAIN = "train"
    HELDOUT = "heldout"


class TextCheck(StrEnum):
    """How a clip was looked at for burnt-in text."""

    READ = "read"  # frames went through OCR
    NO_EDGES = "no_text_like_edges"  # the cheap look at the bands found nothing that OCR could read
    NOT_CHECKED = "not_checked"  # over the cap of OCR frames, or a modality without a picture


_BOX = [(name, pa.float32()) for name in ("x0", "y0", "x1", "y1")]
_TEXT_BOX = pa.struct([*_BOX, ("text", pa.string()), ("score", pa.float32()), ("time_s", pa.float32())])
_UTTERANCE = pa.struct(
    [("speaker", pa.string()), ("t0_s", pa.float32()), ("t1_s", pa.float32()), ("text", pa.string())]
)

SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),
        # Where it comes from. Times are microseconds of the source's clock.
        pa.field("src_id", pa.string(), nullable=False),
        pa.field("src_sha256", pa.string(), nullable=False),
        pa.field("src_path", pa.string(), nullable=False),
        pa.field("collection", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("origin", pa.string()),
        pa.field("scene", pa.int32()),
        pa.field("scene_t0_us", pa.int64()),
        pa.field("scene_t1_us", pa.int64()),
        pa.field("t0_us", pa.int64()),
        pa.field("t1_us", pa.int64()),
        # Files, relative to the manifest's folder. Only kept clips have media.
        pa.field("video_path", pa.string()),
        pa.field("video_sha256", pa.string()),
        pa.field("audio_path", pa.string()),
        pa.field("audio_sha256", pa.string()),
        pa.field("audio_48k_path", pa.string()),
        pa.field("audio_48k_sha256", pa.string()),
        pa.field("thumbnail_path", pa.string()),
        # Form.
        pa.field("bucket", pa.string()),
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("fps", pa.float32()),
        pa.field("n_frames", pa.int32()),
        pa.field("duration_s", pa.float64()),
        pa.field("audio_sr", pa.int32()),
        pa.field("audio_channels", pa.int32()),
        pa.field("n_samples_16k", pa.int64()),
        pa.field("n_samples_48k", pa.int64()),
        pa.field("vcodec", pa.string()),
        pa.field("acodec", pa.string()),
        pa.field("source_width", pa.int32()),
        pa.field("source_height", pa.int32()),
        # Scores. A null score was not measured on this record.
        pa.field("packet_errors", pa.int32()),
        pa.field("corrupt_frames", pa.int32()),
        pa.field("sharpness", pa.float32()),
        pa.field("blockiness", pa.float32()),
        pa.field("exposure", pa.float32()),
        pa.field("motion", pa.float32()),
        pa.field("static_ratio", pa.float32()),
        pa.field("lufs", pa.float32()),
        pa.field("peak_db", pa.float32()),
        pa.field("clip_ratio", pa.float32()),
        pa.field("silence_ratio", pa.float32()),
        pa.field("av_offset_s", pa.float32()),
        pa.field("av_conf", pa.float32()),
        pa.field("av_backend", pa.string()),
        pa.field("text_check", pa.string()),
        pa.field("text_backend", pa.string()),
        pa.field("ocr_boxes", pa.list_(_TEXT_BOX)),
        # The part of the source's picture that was kept, as shares of its width and height; null: all of it.
        pa.field("crop", pa.struct(_BOX)),
        pa.field("embedding_ref", pa.string()),
        pa.field("embedding_backend", pa.string()),
        pa.field("cluster", pa.int32()),
        pa.field("dup_of", pa.string()),
        pa.field("dup_cosine", pa.float32()),
        # Words. Those of records that were dropped before the stages of words are null.
        pa.field("audio_tags", pa.list_(pa.string())),
        pa.field("audio_tag_backend", pa.string()),
        pa.field("visual_tags", pa.list_(pa.string())),
        pa.field("visual_tag_backend", pa.string()),
        pa.field("speakers", pa.int8()),
        pa.field("speech_ratio", pa.float32()),
        pa.field("speech", pa.list_(_UTTERANCE)),
        pa.field("asr_backend", pa.string()),
        pa.field("tags", pa.list_(pa.string())),
        pa.field("caption", pa.string()),
        pa.field("caption_backend", pa.string()),
        pa.field("caption_model", pa.string()),
        pa.field("prompt", pa.string()),
        # The decision.
        pa.field("subsets", pa.list_(pa.string())),
        pa.field("split", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        pa.field("drop_reason", pa.string()),
        pa.field("detail", pa.string()),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("stage_versions", pa.map_(pa.string(), pa.string())),
        pa.field("created_by", pa.string()),
    ],
    metadata={b"nava.artifact": b"clip_manifest", b"nava.schema_version": str(SCHEMA_VERSION).encode()},
)

ClipRow = dict[str, Any]


def clip_id(src_sha256: str, t0_us: int, t1_us: int, pipeline_version: str) -> str:
    """The id of a window of a source: 24 hex digits, the same wherever the same bytes are curated the same way."""
    return hashlib.sha256(f"{src_sha256}|{t0_us}|{t1_us}|{pipeline_version}".encode()).hexdigest()[:24]


def count_statuses(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Counts `in`, `kept`, `dropped`, `failed`, `quarantined`; they always add up."""
    counts = Counter(str(row["status"]) for row in rows)
    result = {"in": len(rows)} | {str(status): counts.get(str(status), 0) for status in Status}
    assert result["in"] == sum(result[str(status)] for status in Status), f"records with an unknown status: {counts}"
    return result


def count_reasons(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """How many records were not kept, by reason, most frequent first."""
    counts = Counter(str(row["drop_reason"]) for row in rows if row["status"] != Status.KEPT)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def write_clips(folder: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes `clips.parquet` into `folder`, rows sorted by source and time, atomically.

    Raises:
        ValueError: a row has a column the schema does not know, or ids repeat.
    """
    unknown = {name for row in rows for name in row} - set(SCHEMA.names)
    if unknown:
        raise ValueError(f"clip rows have columns outside the schema: {sorted(unknown)}")
    ids = Counter(row["clip_id"] for row in rows)
    repeated = [name for name, count in ids.items() if count > 1]
    if repeated:
        raise ValueError(f"clip ids repeat: {repeated[:3]}")
    ordered = sorted(rows, key=lambda row: (row["src_path"], row["src_id"], row.get("t0_us") or 0, row["clip_id"]))
    table = pa.Table.from_pylist([{name: row.get(name) for name in SCHEMA.names} for row in ordered], schema=SCHEMA)
    path = folder / MANIFEST_NAME
    with atomic_file(path) as partial:
        pq.write_table(table, partial, compression="zstd")
    return path


def read_clips(folder: Path) -> pa.Table:
    """Reads the manifest in `folder`.

    Raises:
        FileNotFoundError: there is no manifest.
        ValueError: the file is of another kind or of a schema version this code does not read.
    """
    table = pq.read_table(folder / MANIFEST_NAME, partitioning=None)
    metadata = table.schema.metadata or {}
    version = metadata.get(b"nava.schema_version", b"").decode()
    if metadata.get(b"nava.artifact") != b"clip_manifest" or version != str(SCHEMA_VERSION):
        raise ValueError(
            f"{folder / MANIFEST_NAME}: not a clip manifest of schema version {SCHEMA_VERSION} "
            f"(found {version or 'none'})"
        )
    return table


def kept_rows(folder: Path) -> list[ClipRow]:
    """The kept clips of the manifest in `folder`, in manifest order."""
    return [row for row in read_clips(folder).to_pylist() if row["status"] == Status.KEPT]
