"""Latent shards from clips: which clip goes where, one shard after the other or by several processes at once."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nava.artifacts.clip_manifest import ClipRow
from nava.artifacts.latent_shard import (
    AUDIO,
    CODEC_FOLDER,
    DTYPES,
    TEXT,
    VIDEO,
    VOICE,
    LatentEntry,
    bucket_name,
    sequence_length,
)
from nava.config.conditioning import ConditioningConfig
from nava.config.encoding import EncodingConfig
from nava.config.latents import LatentsConfig
from nava.data.clip_encoder import Corpus, EncodedClip, Encoders, clip_shapes, encode_clips, load_encoders
from nava.data.clip_text import text_of
from nava.data.shards import ShardPlan, plan_shards, shard_facts, write_shard
from nava.runtime.errors import InputError, NavaError
from nava.runtime.hashing import sha256_file, sha256_json
from nava.runtime.worker_pool import Outcome, run_units

_BYTES = {"F32": 4, "BF16": 2}
# Encoders of a worker process, by the folder they lie in: loaded once, used for every shard.
_loaded: dict[str, Encoders] = {}


@dataclass(frozen=True)
class EncodingJob:
    """What a worker process needs to know besides its shard; it travels to it once.

    Attributes:
        folder: where the shards go; their encoders are there already.
        media: the corpus folder.
    """

    folder: Path
    media: Path
    latents: LatentsConfig
    conditioning: ConditioningConfig
    config: EncodingConfig


def plan_corpus(corpus: Corpus, encoders: Encoders, config: EncodingConfig) -> list[ShardPlan]:
    """Which clips go into which shard: ``clips_per_shard`` of a bucket, or as many as make ``shard_mb``."""
    places: dict[str, tuple[str, str]] = {}
    limits: dict[str, int] = {}
    for clip in corpus.clips:
        shapes = clip_shapes(clip, encoders.codecs)
        bucket = bucket_name(*shapes)
        places[str(clip["clip_id"])] = (bucket, str(clip["split"]))
        if bucket not in limits:
            limits[bucket] = _clips_of(config.shard_mb, shapes, encoders, config)
    return plan_shards(places, {bucket: min(limit, config.clips_per_shard) for bucket, limit in limits.items()})


def _clips_of(
    shard_mb: int, shapes: tuple[tuple[int, ...] | None, tuple[int, ...]], encoders: Encoders, config: EncodingConfig
) -> int:
    sizes = [shape for shape in (*shapes, (encoders.text.rows, encoders.text.width)) if shape is not None]
    clip_bytes = sum(torch.Size(shape).numel() for shape in sizes) * _BYTES[DTYPES[config.dtype]]
    return max(1, shard_mb * 2**20 // clip_bytes)


def encode_shard(
    folder: Path, plan: ShardPlan, corpus: Corpus, encoders: Encoders, config: EncodingConfig
) -> list[LatentEntry]:
    """Encode the clips of one shard, unless a finished file is there, and describe them for the index."""
    by_id = {str(clip["clip_id"]): clip for clip in corpus.clips}
    clips = [by_id[clip_id] for clip_id in plan.ids]
    write_missing(folder, plan, clips, corpus, encoders, config)
    return describe_shard(folder, plan, clips, encoders, config)


def write_missing(
    folder: Path,
    plan: ShardPlan,
    clips: Sequence[ClipRow],
    corpus: Corpus,
    encoders: Encoders,
    config: EncodingConfig,
) -> None:
    """Encode and write a shard, unless it is written already."""
    key = _content_key(plan, clips, encoders, config)
    if shard_facts(folder / plan.path, key) is None:
        write_encoded(folder, plan, clips, encode_clips(clips, corpus, encoders, config.text), encoders, config)


def write_encoded(
    folder: Path,
    plan: ShardPlan,
    clips: Sequence[ClipRow],
    encoded: Iterator[EncodedClip],
    encoders: Encoders,
    config: EncodingConfig,
) -> None:
    """Write a shard of clips that are encoded already, or are while it is written."""
    rows = list(encoded)
    facts = {
        "dropped_words": [row.text.dropped_words for row in rows],
        "voice_slots": [list(row.text.voice_slots) for row in rows],
    }
    write_shard(folder / plan.path, _stacked(rows, config), _content_key(plan, clips, encoders, config), facts)


def _stacked(rows: Sequence[EncodedClip], config: EncodingConfig) -> dict[str, Tensor]:
    tensors = {
        AUDIO: torch.stack([row.audio_LC for row in rows]),
        TEXT: torch.stack([row.text.text_ND for row in rows]),
    }
    if rows[0].video_CTHW is not None:
        tensors[VIDEO] = torch.stack([row.video_CTHW for row in rows if row.video_CTHW is not None])
    if voices := [row.text.voice_SE for row in rows if row.text.voice_SE is not None]:
        tensors[VOICE] = torch.cat(voices)
    dtype: torch.dtype = getattr(torch, config.dtype)
    return {name: tensor.to(dtype) for name, tensor in tensors.items()}


def _content_key(plan: ShardPlan, clips: Sequence[ClipRow], encoders: Encoders, config: EncodingConfig) -> str:
    texts = [text_of(clip, config.text) for clip in clips]
    speech = [clip.get("speech") or [] for clip in clips] if encoders.timbre else []
    return sha256_json([plan.path, plan.ids, texts, speech, config.dtype, encoders.identities])


def encode_in_processes(job: EncodingJob, plans: Sequence[ShardPlan], corpus: Corpus) -> Iterator[ShardPlan]:
    """Encode and write shards by `workers` processes, each with encoders of its own; yields plans as they are done.

    A worker that dies loses the shard it was at, which another one then encodes again.

    Raises:
        InputError: what a worker was told it cannot encode.
        NavaError: a shard that ended its worker every time, or took too long.
    """
    by_id = {str(clip["clip_id"]): clip for clip in corpus.clips}
    units = [(plan, [by_id[clip_id] for clip_id in plan.ids]) for plan in plans]
    config = job.config
    for outcome in run_units(
        partial(_encode_unit, job), units, config.workers, config.shard_timeout_s, config.attempts
    ):
        yield _finished(outcome)


def _finished(outcome: Outcome[tuple[ShardPlan, list[ClipRow]], str]) -> ShardPlan:
    plan, _ = outcome.unit
    if outcome.result:
        raise InputError(outcome.result)
    if outcome.failure:
        raise NavaError(
            f"latent shard {plan.path} could not be encoded ({outcome.failure}: {outcome.detail}); its clips: "
            f"{', '.join(plan.ids[:5])}{' ...' if len(plan.ids) > 5 else ''}. Finished shards are kept: run again"
        )
    return plan


def _encode_unit(job: EncodingJob, unit: tuple[ShardPlan, list[ClipRow]]) -> str:
    """In a worker process: one shard; returns what is wrong with its input, or nothing."""
    plan, clips = unit
    try:
        if str(job.folder) not in _loaded:
            torch.set_num_threads(job.config.threads)
            _loaded[str(job.folder)] = load_encoders(job.folder / CODEC_FOLDER, job.latents, job.conditioning)
        corpus = Corpus(job.media, clips, job.config.decode_workers)
        write_missing(job.folder, plan, clips, corpus, _loaded[str(job.folder)], job.config)
    except InputError as error:
        return str(error)
    return ""


def describe_shard(
    folder: Path, plan: ShardPlan, clips: Sequence[ClipRow], encoders: Encoders, config: EncodingConfig
) -> list[LatentEntry]:
    """The index rows of a finished shard.

    Raises:
        NavaError: the shard is not finished.
    """
    path = folder / plan.path
    facts = shard_facts(path, _content_key(plan, clips, encoders, config))
    if facts is None:
        raise NavaError(f"latent shard {path} is not finished")
    entries: list[LatentEntry] = []
    sha256, voices = sha256_file(path), 0
    for entry, dropped, slots in zip(
        describe_clips(plan, clips, encoders, config), facts["dropped_words"], facts["voice_slots"], strict=True
    ):
        known = {"shard_sha256": sha256, "dropped_words": dropped, "voice_row": voices, "voice_slots": tuple(slots)}
        entries.append(replace(entry, **known))
        voices += len(slots)
    return entries


def describe_clips(
    plan: ShardPlan, clips: Sequence[ClipRow], encoders: Encoders, config: EncodingConfig
) -> list[LatentEntry]:
    """What is known of a shard's clips before they are encoded: all but the hash, the dropped words and the voices."""
    video_shape, audio_shape = clip_shapes(clips[0], encoders.codecs)
    shared: dict[str, Any] = {
        "bucket": plan.bucket,
        "split": plan.split,
        "shard": plan.path,
        "shard_sha256": "",
        "dtype": DTYPES[config.dtype],
        "video_shape": video_shape,
        "audio_shape": audio_shape,
        "text_shape": (encoders.text.rows, encoders.text.width),
        "seq_len": sequence_length(video_shape, audio_shape),
        "dropped_words": 0,
        "voice_width": encoders.timbre.width if encoders.timbre else 0,
        **encoders.identities,
    }
    return [
        LatentEntry(
            clip_id=str(clip["clip_id"]),
            modality=str(clip["modality"]),
            row=row,
            caption=text_of(clip, config.text),
            tags=tuple(clip["tags"] or ()),
            subsets=tuple(clip.get("subsets") or ()),
            **shared,
        )
        for row, clip in enumerate(clips)
    ]
