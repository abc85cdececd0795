"""Latent shards: encoded clips in safetensors files of one bucket each, and the index that makes them a data set.

::

    index.parquet              one row per clip, written last: without it there are no shards
    <bucket>/<nnnnn>.safetensors   video_BCTHW (buckets with a picture), audio_BLC, text_BND; row b is a clip;
                                   voice_SE, a row per speech span of all clips, if a timbre encoder was used
    codec/video, codec/audio, codec/text, codec/timbre   what encoded them, and decodes what a model makes of them
    reconstruction.json        how well the codecs reconstruct held-out clips

A bucket is one size of video and audio latents, so that its clips can be batched; a shard belongs to one split.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from safetensors import SafetensorError, safe_open

from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file
from nava.runtime.storage import atomic_file, write_json

KIND = "latent_shards"
SCHEMA_VERSION = 2
INDEX_FILE = "index.parquet"
RECONSTRUCTION_FILE = "reconstruction.json"
CODEC_FOLDER = "codec"
TEXT_FOLDER = "text"
TIMBRE_FOLDER = "timbre"
VIDEO, AUDIO, TEXT, VOICE = "video_BCTHW", "audio_BLC", "text_BND", "voice_SE"
# Names of the configuration, and of safetensors.
DTYPES = {"float32": "F32", "bfloat16": "BF16"}
# The model sees a token per patch of so many video latents: frames, rows, columns.
PATCH = (1, 2, 2)

SCHEMA = pa.schema(
    [
        pa.field("clip_id", pa.string(), nullable=False),
        pa.field("bucket", pa.string(), nullable=False),
        pa.field("modality", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("row", pa.int32(), nullable=False),
        pa.field("shard_sha256", pa.string(), nullable=False),
        pa.field("dtype", pa.string(), nullable=False),
        pa.field("video_shape", pa.list_(pa.int32())),
        pa.field("audio_shape", pa.list_(pa.int32()), nullable=False),
        pa.field("text_shape", pa.list_(pa.int32()), nullable=False),
        pa.field("seq_len", pa.int32(), nullable=False),
        pa.field("video_codec_id", pa.string(), nullable=False),
        pa.field("audio_codec_id", pa.string(), nullable=False),
        pa.field("text_encoder_id", pa.string(), nullable=False),
        pa.field("timbre_encoder_id", pa.string(), nullable=False),
        pa.field("voice_row", pa.int32(), nullable=False),
        pa.field("voice_slots", pa.list_(pa.int32()), nullable=False),
        pa.field("voice_width", pa.int32(), nullable=False),
        pa.field("caption", pa.string(), nullable=False),
        pa.field("dropped_words", pa.int32(), nullable=False),
        pa.field("tags", pa.list_(pa.string()), nullable=False),
        pa.field("subsets", pa.list_(pa.string()), nullable=False),
    ],
    metadata={b"nava.artifact": KIND.encode(), b"nava.schema_version": str(SCHEMA_VERSION).encode()},
)


@dataclass(frozen=True)
class LatentEntry:
    """A row of the index.

    Attributes:
        clip_id: id of the clip in the manifest.
        bucket: size of its latents, e.g. ``v13x4x4-a52`` or ``a52``; see ``bucket_name``.
        modality: ``av`` or ``audio``.
        split: ``train`` or ``heldout``.
        shard: path of its file, relative to the index.
        row: its row in the file's tensors.
        shard_sha256: of the file.
        dtype: of the tensors, as safetensors names it.
        video_shape: (C, T, H, W), None without a picture.
        audio_shape: (L, C).
        text_shape: (N, D).
        seq_len: video and audio tokens as the model sees them.
        video_codec_id: identity of the video codec.
        audio_codec_id: identity of the audio codec.
        text_encoder_id: identity of the text encoder.
        timbre_encoder_id: identity of the timbre encoder; empty if there was none.
        voice_row: where its voices begin in the file's ``voice_SE``; they lie one after the other.
        voice_slots: the text row that each voice replaces, one per speech span; empty for a clip without voices.
        voice_width: values per voice; 0 without a timbre encoder.
        caption: the text that was encoded.
        dropped_words: how many of its words the text encoder ignored for want of rows.
        tags: what the captioner measured, e.g. the family.
        subsets: the subsets of the corpus that curation put it into, e.g. ``stage3``.
    """

    clip_id: str
    bucket: str
    modality: str
    split: str
    shard: str
    row: int
    shard_sha256: str
    dtype: str
    video_shape: tuple[int, ...] | None
    audio_shape: tuple[int, ...]
    text_shape: tuple[int, ...]
    seq_len: int
    video_codec_id: str
    audio_codec_id: str
    text_encoder_id: str
    caption: str
    dropped_words: int
    tags: tuple[str, ...]
    timbre_encoder_id: str = ""
    voice_row: int = 0
    voice_slots: tuple[int, ...] = ()
    voice_width: int = 0
    subsets: tuple[str, ...] = ()


def bucket_name(video_shape: Sequence[int] | None, audio_shape: Sequence[int]) -> str:
    """``v13x4x4-a52``: latent frames x rows x columns, and audio latents; ``a52`` for sound alone."""
    audio = f"a{audio_shape[0]}"
    return audio if video_shape is None else f"v{'x'.join(map(str, video_shape[1:]))}-{audio}"


def sequence_length(video_shape: Sequence[int] | None, audio_shape: Sequence[int]) -> int:
    """Tokens of a clip: one per patch of video latents and one per audio latent."""
    return video_tokens(video_shape) + audio_shape[0]


def video_tokens(video_shape: Sequence[int] | None) -> int:
    """Tokens of a picture of shape (C, T, H, W): patches, those at the edges counted whole; 0 without a picture."""
    if video_shape is None:
        return 0
    return math.prod(-(-size // patch) for size, patch in zip(video_shape[1:], PATCH, strict=True))


def write_index(folder: Path, entries: Sequence[LatentEntry]) -> None:
    """Write the index, sorted by shard and row, atomically.

    Raises:
        ValueError: ids repeat.
    """
    ids = [entry.clip_id for entry in entries]
    if len(set(ids)) < len(ids):
        raise ValueError(
            f"clip ids repeat in the latent index: {sorted({name for name in ids if ids.count(name) > 1})[:3]}"
        )
    ordered = sorted(entries, key=lambda entry: (entry.shard, entry.row))
    table = pa.Table.from_pylist([asdict(entry) for entry in ordered], schema=SCHEMA)
    with atomic_file(folder / INDEX_FILE) as path:
        pq.write_table(table, path, compression="zstd")


def read_index(folder: Path) -> list[LatentEntry]:
    """Read the index.

    Raises:
        InputError: there is none, it is damaged, or of another version.
    """
    path = folder / INDEX_FILE
    if not path.is_file():
        raise InputError(f"no latent shards in {folder}: {INDEX_FILE} is missing; re-run the encode step")
    try:
        table = pq.read_table(path, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path} is damaged ({error}); delete {folder} and re-run the encode step") from error
    metadata = table.schema.metadata or {}
    version = metadata.get(b"nava.schema_version", b"none").decode()
    if metadata.get(b"nava.artifact") != KIND.encode() or version != str(SCHEMA_VERSION):
        raise InputError(f"{path} is not a latent index of version {SCHEMA_VERSION} (found version {version})")
    return [_entry(row) for row in table.to_pylist()]


def _entry(row: dict[str, Any]) -> LatentEntry:
    shape = row["video_shape"]
    row["video_shape"] = None if shape is None else tuple(shape)
    return LatentEntry(
        **row | {name: tuple(row[name]) for name in ("audio_shape", "text_shape", "tags", "voice_slots", "subsets")},
    )


def verify_shard(path: Path, entries: Sequence[LatentEntry]) -> None:
    """Check one shard against its entries: hash, rows, dtype and shapes.

    Args:
        path: the file, wherever it lies.
        entries: those of its clips, all of them.

    Raises:
        InputError: names the file and what to do.
    """
    if not path.is_file():
        raise damaged(path, "it is missing")
    digest = sha256_file(path)
    if digest != entries[0].shard_sha256:
        raise damaged(path, f"sha256 is {digest[:12]}, the index says {entries[0].shard_sha256[:12]}")
    try:
        with safe_open(path, framework="numpy") as file:
            found = {name: (file.get_slice(name).get_dtype(), file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise damaged(path, str(error)) from error
    rows = len(entries)
    if sorted(entry.row for entry in entries) != list(range(rows)):
        raise damaged(path, "the index does not name each of its rows once")
    voices = sum(len(entry.voice_slots) for entry in entries)
    for entry in entries:
        shapes = {VIDEO: entry.video_shape, AUDIO: entry.audio_shape, TEXT: entry.text_shape}
        wanted = {name: (entry.dtype, [rows, *shape]) for name, shape in shapes.items() if shape is not None}
        if voices:
            wanted[VOICE] = (entry.dtype, [voices, entry.voice_width])
        if found != wanted:
            raise damaged(path, f"it holds {found}, the index says {wanted} for clip {entry.clip_id}")
        if entry.bucket != bucket_name(entry.video_shape, entry.audio_shape):
            raise damaged(path, f"clip {entry.clip_id} is in bucket {entry.bucket}, which its shapes do not fit")


def damaged(path: Path, problem: str) -> InputError:
    """The error for a shard that cannot be used."""
    return InputError(
        f"latent shard {path} is damaged: {problem}; delete it and {INDEX_FILE}, then re-run the encode step"
    )


def write_reconstruction(folder: Path, report: dict[str, Any]) -> None:
    """Write ``reconstruction.json``; figures without a value are null."""
    write_json(folder / RECONSTRUCTION_FILE, {"schema_version": SCHEMA_VERSION} | report)
