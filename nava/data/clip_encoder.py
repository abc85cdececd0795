"""From the clips of a corpus version to latent shards: fit the codecs, encode, measure what was lost."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nava.artifacts.clip_manifest import ClipRow, Modality, Split
from nava.artifacts.latent_shard import (
    AUDIO,
    CODEC_FOLDER,
    DTYPE,
    TEXT,
    TEXT_FOLDER,
    VIDEO,
    LatentEntry,
    bucket_name,
    sequence_length,
)
from nava.conditioning.text import TextEncoder, build_text_encoder, load_text_encoder
from nava.config.conditioning import ConditioningConfig
from nava.config.encoding import EncodingConfig
from nava.config.latents import LatentsConfig
from nava.data.clip_media import read_video, read_wav
from nava.data.shards import ShardPlan, is_written, plan_shards, write_shard
from nava.latents.quality import envelope_correlation, mel_error_db, psnr_db, ssim
from nava.latents.registry import (
    Codecs,
    build_audio_codec,
    build_video_codec,
    load_audio_codec,
    load_video_codec,
    save_codecs,
)
from nava.latents.waveform import decode_mono
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file, sha256_json
from nava.runtime.storage import atomic_folder

# The floor of the embedded codec, about 50 dB below full scale, so that codecs with another floor compare.
REPORTED_MEL_FLOOR = 3e-3
READS_AHEAD = 64
ClipShapes = tuple[tuple[int, ...] | None, tuple[int, ...]]


@dataclass(frozen=True)
class Encoders:
    """Everything that turns a clip into latents."""

    codecs: Codecs
    text: TextEncoder

    @property
    def identities(self) -> dict[str, str]:
        """Identity of each, as the index names them."""
        return {
            "video_codec_id": self.codecs.video.identity,
            "audio_codec_id": self.codecs.audio.identity,
            "text_encoder_id": self.text.identity,
        }


@dataclass(frozen=True)
class Corpus:
    """The kept clips of a corpus version and where their media lie."""

    folder: Path
    clips: Sequence[ClipRow]
    decode_workers: int

    def of(self, split: Split | None = None, modality: Modality | None = None) -> list[ClipRow]:
        """Clips of a split and a modality, sorted by id."""
        chosen = [
            clip for clip in self.clips if split in (None, clip["split"]) and modality in (None, clip["modality"])
        ]
        return sorted(chosen, key=lambda clip: str(clip["clip_id"]))

    def videos(self, clips: Sequence[ClipRow]) -> Iterator[Tensor]:
        """The picture of each clip, uint8 [T, H, W, 3], in order."""
        return self._read(self._video, clips)

    def sounds(self, clips: Sequence[ClipRow], sample_rate_hz: int) -> Iterator[Tensor]:
        """The sound of each clip, float32 [N], in order."""
        return self._read(partial(self._sound, sample_rate_hz=sample_rate_hz), clips)

    def _read(self, read: Callable[[ClipRow], Tensor], clips: Sequence[ClipRow]) -> Iterator[Tensor]:
        with ThreadPoolExecutor(self.decode_workers) as pool:
            # A window of reads ahead keeps the workers busy and memory small.
            for chunk in _chunks(clips, READS_AHEAD):
                yield from pool.map(read, chunk)

    def _video(self, clip: ClipRow) -> Tensor:
        path = self.folder / str(clip["video_path"])
        video_THWC = read_video(path)
        wanted = (clip["n_frames"], clip["height"], clip["width"], 3)
        if tuple(video_THWC.shape) != wanted:
            raise InputError(
                f"clip {clip['clip_id']}: {path} holds {list(video_THWC.shape)}, the manifest says {list(wanted)}; "
                "check the corpus version out again"
            )
        return video_THWC

    def _sound(self, clip: ClipRow, sample_rate_hz: int) -> Tensor:
        path = self.folder / str(clip["audio_path"])
        samples_N = read_wav(path, sample_rate_hz)
        if len(samples_N) != clip["n_samples"]:
            raise InputError(
                f"clip {clip['clip_id']}: {path} holds {len(samples_N)} samples, the manifest says "
                f"{clip['n_samples']}; check the corpus version out again"
            )
        return samples_N


def fitted_encoders(
    folder: Path, corpus: Corpus, latents: LatentsConfig, conditioning: ConditioningConfig, seed: int
) -> Encoders:
    """The encoders in ``folder/codec``; fitted on training clips and written there as a whole if they are not yet."""
    codec_folder = folder / CODEC_FOLDER
    if not codec_folder.is_dir():
        encoders = _fit(corpus, latents, conditioning, seed)
        with atomic_folder(codec_folder) as temporary:
            save_codecs(encoders.codecs, temporary)
            encoders.text.save(temporary / TEXT_FOLDER)
    # Read back even when just fitted, so that a restarted step computes with the very same tensors.
    return load_encoders(codec_folder, latents, conditioning)


def load_encoders(
    codec_folder: Path, latents: LatentsConfig | None = None, conditioning: ConditioningConfig | None = None
) -> Encoders:
    """The codecs and the text encoder of latent shards or of a model package.

    Args:
        codec_folder: of the shards or of the package.
        latents: says where published weights are, for codecs that refer to some.
        conditioning: the same for the text encoder.
    """
    latents, conditioning = latents or LatentsConfig(), conditioning or ConditioningConfig()
    video = load_video_codec(codec_folder, latents.video.weights, latents.video.weights_cache)
    audio = load_audio_codec(codec_folder, latents.audio.weights, latents.audio.weights_cache)
    cache = Path(conditioning.weights_cache) if conditioning.weights_cache else None
    text = load_text_encoder(codec_folder / TEXT_FOLDER, conditioning.text_weights or None, cache=cache)
    return Encoders(Codecs(video, audio), text)


def _fit(corpus: Corpus, latents: LatentsConfig, conditioning: ConditioningConfig, seed: int) -> Encoders:
    pictures = _sample(corpus.of(Split.TRAIN, Modality.AUDIO_VIDEO), latents.video.fit_clips, seed)
    sounding = _sample(corpus.of(Split.TRAIN), latents.audio.fit_clips, seed)
    if not sounding:
        raise InputError("the corpus has no kept clip in its training split to fit the codecs on")

    def read_videos() -> Iterable[Tensor]:
        return (video_THWC[None] for video_THWC in corpus.videos(pictures))

    def read_samples() -> Iterable[Tensor]:
        return (samples_N[None] for samples_N in corpus.sounds(sounding, latents.audio.sample_rate_hz))

    video = build_video_codec(latents.video, read_videos, len(pictures), seed)
    audio = build_audio_codec(latents.audio, read_samples)
    return Encoders(Codecs(video, audio), build_text_encoder(conditioning))


def clip_shapes(clip: ClipRow, codecs: Codecs) -> ClipShapes:
    """Latent shapes (C, T, H, W), or None without a picture, and (L, C) of a clip.

    Raises:
        InputError: the codecs cannot encode a clip of this size.
    """
    try:
        video = None
        if clip["modality"] == Modality.AUDIO_VIDEO:
            video = codecs.video.latent_shape(clip["n_frames"], clip["height"], clip["width"])
        return video, codecs.audio.latent_shape(clip["n_samples"])
    except InputError as error:
        raise InputError(f"clip {clip['clip_id']} ({clip['src_path']}) cannot be encoded: {error}") from error


def plan_corpus(corpus: Corpus, codecs: Codecs, clips_per_shard: int) -> list[ShardPlan]:
    """Which clips go into which shard."""
    places = {
        str(clip["clip_id"]): (bucket_name(*clip_shapes(clip, codecs)), str(clip["split"])) for clip in corpus.clips
    }
    return plan_shards(places, clips_per_shard)


def encode_shard(
    folder: Path, plan: ShardPlan, corpus: Corpus, encoders: Encoders, config: EncodingConfig
) -> list[LatentEntry]:
    """Encode the clips of one shard, unless a finished file is there, and describe them for the index."""
    by_id = {str(clip["clip_id"]): clip for clip in corpus.clips}
    clips = [by_id[clip_id] for clip_id in plan.ids]
    captions = [clip["caption"] or "" for clip in clips]
    path = folder / plan.path
    content_key = sha256_json([plan.path, list(zip(plan.ids, captions, strict=True)), encoders.identities])
    if not is_written(path, content_key):
        write_shard(path, _encode(clips, captions, corpus, encoders, config.clips_per_batch), content_key)
    video_shape, audio_shape = clip_shapes(clips[0], encoders.codecs)
    shared: dict[str, Any] = {
        "bucket": plan.bucket,
        "split": plan.split,
        "shard": plan.path,
        "shard_sha256": sha256_file(path),
        "dtype": DTYPE,
        "video_shape": video_shape,
        "audio_shape": audio_shape,
        "text_shape": (encoders.text.rows, encoders.text.width),
        "seq_len": sequence_length(video_shape, audio_shape),
        **encoders.identities,
    }
    return [
        LatentEntry(
            clip_id=str(clip["clip_id"]),
            modality=str(clip["modality"]),
            row=row,
            caption=caption,
            dropped_words=encoders.text.dropped_words(caption),
            tags=tuple(clip["tags"] or ()),
            **shared,
        )
        for row, (clip, caption) in enumerate(zip(clips, captions, strict=True))
    ]


def _encode(
    clips: Sequence[ClipRow], captions: list[str], corpus: Corpus, encoders: Encoders, batch: int
) -> dict[str, Tensor]:
    codecs = encoders.codecs
    sounds = _batches(corpus.sounds(clips, codecs.audio.sample_rate_hz), batch)
    tensors = {
        AUDIO: torch.cat([codecs.audio.encode(samples_BN) for samples_BN in sounds]),
        TEXT: encoders.text.encode(captions),
    }
    if clips[0]["modality"] == Modality.AUDIO_VIDEO:
        videos = _batches(corpus.videos(clips), batch)
        tensors[VIDEO] = torch.cat([codecs.video.encode(video_BTHWC) for video_BTHWC in videos])
    return tensors


def measure_reconstruction(corpus: Corpus, codecs: Codecs, limit: int, seed: int) -> dict[str, Any]:
    """Encode and decode up to ``limit`` held-out clips per stream (training clips if none are held out) and compare.

    Returns:
        JSON values: for each stream ``split``, ``n`` and the mean of each measure; for sound also how many clips were
        too even for an envelope correlation.
    """
    measured: dict[str, Any] = {"codecs": codecs.identities}
    split, clips = _held_out(corpus, Modality.AUDIO_VIDEO, limit, seed)
    pairs = [(codecs.video.decode(codecs.video.encode(video[None])), video[None]) for video in corpus.videos(clips)]
    measured["video"] = {
        "split": split,
        "n": len(clips),
        "psnr_db": _mean([psnr_db(*pair) for pair in pairs]),
        "ssim": _mean([ssim(*pair) for pair in pairs]),
    }
    split, clips = _held_out(corpus, None, limit, seed)
    rate = codecs.audio.sample_rate_hz
    sounds = [_round_trip(codecs, samples_N[None]) for samples_N in corpus.sounds(clips, rate)]
    correlations = torch.cat([envelope_correlation(*pair, rate) for pair in sounds]) if sounds else torch.zeros(0)
    measured["audio"] = {
        "split": split,
        "n": len(clips),
        "mel_error_db": _mean([mel_error_db(*pair, floor=REPORTED_MEL_FLOOR) for pair in sounds]),
        "envelope_correlation": _mean([correlations[~correlations.isnan()]]),
        "without_envelope": int(correlations.isnan().sum()),
    }
    return measured


def _round_trip(codecs: Codecs, samples_BN: Tensor) -> tuple[Tensor, Tensor]:
    """What the codec makes of sound and the sound itself, equally long: a codec may give a little more or less."""
    decoded_BN = decode_mono(codecs.audio, codecs.audio.encode(samples_BN))
    length = min(decoded_BN.shape[1], samples_BN.shape[1])
    return decoded_BN[:, :length], samples_BN[:, :length]


def _held_out(corpus: Corpus, modality: Modality | None, limit: int, seed: int) -> tuple[str, list[ClipRow]]:
    for split in (Split.HELDOUT, Split.TRAIN):
        if clips := corpus.of(split, modality):
            return str(split), _sample(clips, limit, seed)
    return str(Split.TRAIN), []


def _mean(values: Sequence[Tensor]) -> float | None:
    joined = torch.cat(list(values)) if values else torch.zeros(0)
    return round(joined.double().mean().item(), 4) if len(joined) else None


def _sample(clips: Sequence[ClipRow], limit: int, seed: int) -> list[ClipRow]:
    order = torch.randperm(len(clips), generator=torch.Generator().manual_seed(seed))[:limit]
    return [clips[index] for index in sorted(order.tolist())]


def _batches(items: Iterable[Tensor], size: int) -> Iterator[Tensor]:
    batch: list[Tensor] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield torch.stack(batch)
            batch = []
    if batch:
        yield torch.stack(batch)


def _chunks(clips: Sequence[ClipRow], size: int) -> Iterator[Sequence[ClipRow]]:
    return (clips[start : start + size] for start in range(0, len(clips), size))
