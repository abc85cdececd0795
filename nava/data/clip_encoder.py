"""From clips to latents: the encoders of a corpus, fitted where they need it, and what they make of one clip."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nava.artifacts.clip_manifest import ClipRow, Modality, Split
from nava.artifacts.latent_shard import CODEC_FOLDER, TEXT_FOLDER, TIMBRE_FOLDER
from nava.conditioning.text import TextEncoder, build_text_encoder, load_text_encoder
from nava.conditioning.timbre import TimbreEncoder, build_timbre_encoder, load_timbre_encoder
from nava.config.conditioning import ConditioningConfig
from nava.config.latents import LatentsConfig
from nava.data.clip_media import read_video, read_wav
from nava.data.clip_text import ClipText, encode_text
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
    timbre: TimbreEncoder | None = None

    @property
    def identities(self) -> dict[str, str]:
        """Identity of each, as the index names them."""
        return {
            "video_codec_id": self.codecs.video.identity,
            "audio_codec_id": self.codecs.audio.identity,
            "text_encoder_id": self.text.identity,
            "timbre_encoder_id": self.timbre.identity if self.timbre else "",
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
        video_THWC = torch.from_numpy(read_video(path))
        wanted = (clip["n_frames"], clip["height"], clip["width"], 3)
        if tuple(video_THWC.shape) != wanted:
            raise InputError(
                f"clip {clip['clip_id']}: {path} holds {list(video_THWC.shape)}, the manifest says {list(wanted)}; "
                "check the corpus version out again"
            )
        return video_THWC

    def _sound(self, clip: ClipRow, sample_rate_hz: int) -> Tensor:
        path = self.folder / str(clip["audio_path"])
        samples_N = torch.from_numpy(read_wav(path, sample_rate_hz))
        if len(samples_N) != clip["n_samples_16k"]:
            raise InputError(
                f"clip {clip['clip_id']}: {path} holds {len(samples_N)} samples, the manifest says "
                f"{clip['n_samples_16k']}; check the corpus version out again"
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
            if encoders.timbre is not None:
                encoders.timbre.save(temporary / TIMBRE_FOLDER)
    # Read back even when just fitted, so that a restarted step computes with the very same tensors.
    return load_encoders(codec_folder, latents, conditioning)


def load_encoders(
    codec_folder: Path, latents: LatentsConfig | None = None, conditioning: ConditioningConfig | None = None
) -> Encoders:
    """The codecs, the text encoder and, if there is one, the timbre encoder of latent shards or of a model package.

    Args:
        codec_folder: of the shards or of the package.
        latents: says where published weights are, for codecs that refer to some.
        conditioning: the same for the text and the timbre encoder.
    """
    latents, conditioning = latents or LatentsConfig(), conditioning or ConditioningConfig()
    video = load_video_codec(codec_folder, latents.video.weights, latents.video.weights_cache)
    audio = load_audio_codec(codec_folder, latents.audio.weights, latents.audio.weights_cache)
    cache = Path(conditioning.weights_cache) if conditioning.weights_cache else None
    text = load_text_encoder(codec_folder / TEXT_FOLDER, conditioning.text_weights or None, cache=cache)
    timbre = None
    if (folder := codec_folder / TIMBRE_FOLDER).is_dir():
        timbre = load_timbre_encoder(folder, conditioning.timbre_weights or None, cache=cache)
    return Encoders(Codecs(video, audio), text, timbre)


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
    return Encoders(Codecs(video, audio), build_text_encoder(conditioning), build_timbre_encoder(conditioning))


def clip_shapes(clip: ClipRow, codecs: Codecs) -> ClipShapes:
    """Latent shapes (C, T, H, W), or None without a picture, and (L, C) of a clip.

    Raises:
        InputError: the codecs cannot encode a clip of this size.
    """
    try:
        video = None
        if clip["modality"] == Modality.AUDIO_VIDEO:
            video = codecs.video.latent_shape(clip["n_frames"], clip["height"], clip["width"])
        return video, codecs.audio.latent_shape(clip["n_samples_16k"])
    except InputError as error:
        raise InputError(f"clip {clip['clip_id']} ({clip['src_path']}) cannot be encoded: {error}") from error


@dataclass(frozen=True)
class EncodedClip:
    """What the encoders make of a clip.

    Attributes:
        video_CTHW: None without a picture.
        audio_LC: audio latents.
        text: its text and the voices of its speech.
    """

    video_CTHW: Tensor | None  # noqa: N815
    audio_LC: Tensor  # noqa: N815
    text: ClipText


def encode_clips(
    clips: Sequence[ClipRow], corpus: Corpus, encoders: Encoders, text_column: str
) -> Iterator[EncodedClip]:
    """Encode clips one by one, so that what becomes of a clip never depends on its neighbours; media are read ahead.

    Args:
        clips: all with a picture, or all without.
        corpus: where their media are.
        encoders: what encodes them.
        text_column: the manifest's column to describe them by, ``prompt`` or ``caption``.

    Raises:
        InputError: media that are missing, damaged, or not as the manifest says.
    """
    codecs = encoders.codecs
    sounds = corpus.sounds(clips, codecs.audio.sample_rate_hz)
    paired = bool(clips) and clips[0]["modality"] == Modality.AUDIO_VIDEO
    videos: Iterable[Tensor | None] = corpus.videos(clips) if paired else [None] * len(clips)
    for clip, sound_N, video_THWC in zip(clips, sounds, videos, strict=True):
        yield EncodedClip(
            None if video_THWC is None else codecs.video.encode(video_THWC[None])[0],
            codecs.audio.encode(sound_N[None])[0],
            encode_text(clip, text_column, sound_N, encoders.text, encoders.timbre),
        )


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


def _chunks(clips: Sequence[ClipRow], size: int) -> Iterator[Sequence[ClipRow]]:
    return (clips[start : start + size] for start in range(0, len(clips), size))
