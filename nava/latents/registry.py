"""Codecs by name: build them from the configuration, keep both in a folder, load them again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from nava.config.latents import AudioCodecConfig, VideoCodecConfig
from nava.latents.block_dct import BlockDctCodec
from nava.latents.block_pca import BlockPcaCodec
from nava.latents.codec_files import codec_type
from nava.latents.interface import AudioCodec, VideoCodec
from nava.latents.ltx_audio import LtxAudioCodec
from nava.latents.mel_pca import MelPcaCodec
from nava.latents.wan_video import WanVideoCodec
from nava.runtime.errors import InputError

VIDEO_CODECS: dict[str, type[VideoCodec]] = {
    "block_dct": BlockDctCodec,
    "block_pca": BlockPcaCodec,
    "wan_video": WanVideoCodec,
}
AUDIO_CODECS: dict[str, type[AudioCodec]] = {"ltx_audio": LtxAudioCodec, "mel_pca": MelPcaCodec}
VIDEO_FOLDER = "video"
AUDIO_FOLDER = "audio"

# Gives the clips to fit on, batch by batch; only called for codecs that need a fit.
ReadVideos = Callable[[], Iterable[Tensor]]
ReadSamples = Callable[[], Iterable[Tensor]]
Codec = TypeVar("Codec", VideoCodec, AudioCodec)


@dataclass(frozen=True)
class Codecs:
    """The two codecs of a run."""

    video: VideoCodec
    audio: AudioCodec

    @property
    def identities(self) -> dict[str, str]:
        """``{"video": sha256, "audio": sha256}``."""
        return {VIDEO_FOLDER: self.video.identity, AUDIO_FOLDER: self.audio.identity}


def build_video_codec(config: VideoCodecConfig, read_videos: ReadVideos, clip_count: int, seed: int) -> VideoCodec:
    """Build the codec that ``config.type`` names, fitted on ``clip_count`` clips if it needs a fit.

    Raises:
        InputError: unknown type, too little to fit on, or no published weights at ``config.weights``.
    """
    match config.type:
        case WanVideoCodec.type_name:
            return WanVideoCodec.build(config)
        case BlockPcaCodec.type_name:
            return BlockPcaCodec.fit(read_videos(), clip_count, config, seed)
        case BlockDctCodec.type_name:
            return BlockDctCodec.build(config)
    raise _unknown("video", config.type, VIDEO_CODECS)


def build_audio_codec(config: AudioCodecConfig, read_samples: ReadSamples) -> AudioCodec:
    """Build the codec that ``config.type`` names, fitted on the samples if it needs a fit.

    Raises:
        InputError: unknown type, too little to fit on, or no published weights at ``config.weights``.
    """
    match config.type:
        case LtxAudioCodec.type_name:
            return LtxAudioCodec.build(config)
        case MelPcaCodec.type_name:
            return MelPcaCodec.fit(read_samples(), config)
    raise _unknown("audio", config.type, AUDIO_CODECS)


def save_codecs(codecs: Codecs, directory: Path) -> None:
    """Write both codecs to ``directory/video`` and ``directory/audio``."""
    codecs.video.save(directory / VIDEO_FOLDER)
    codecs.audio.save(directory / AUDIO_FOLDER)


def load_codecs(directory: Path, weights: str | Path | None = None, cache: str | Path | None = None) -> Codecs:
    """Load both codecs and verify their digests.

    Args:
        directory: where ``save_codecs`` wrote them.
        weights: where published weights are, for codecs that refer to some: a folder, a hub mirror, a bucket address.
        cache: where files of a bucket are kept on this machine.

    Raises:
        InputError: a codec is missing, damaged, or of a type this release does not know; or its weights are not there.
    """
    return Codecs(load_video_codec(directory, weights, cache), load_audio_codec(directory, weights, cache))


def load_video_codec(directory: Path, weights: str | Path | None = None, cache: str | Path | None = None) -> VideoCodec:
    """Load the codec in ``directory/video``; see ``load_codecs``."""
    folder = directory / VIDEO_FOLDER
    if (name := codec_type(folder)) not in VIDEO_CODECS:
        raise _unknown("video", name, VIDEO_CODECS)
    return VIDEO_CODECS[name].load(folder, weights, cache)


def load_audio_codec(directory: Path, weights: str | Path | None = None, cache: str | Path | None = None) -> AudioCodec:
    """Load the codec in ``directory/audio``; see ``load_codecs``."""
    folder = directory / AUDIO_FOLDER
    if (name := codec_type(folder)) not in AUDIO_CODECS:
        raise _unknown("audio", name, AUDIO_CODECS)
    return AUDIO_CODECS[name].load(folder, weights, cache)


def _unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    return InputError(f"unknown {kind} codec type '{name}'; known types: {', '.join(sorted(known))}")


def placed(codec: Codec, device: str | torch.device) -> Codec:
    """The codec with its weights on the device; embedded codecs stay on the CPU, where they are fast enough."""
    move = getattr(codec, "to", None)
    return codec if move is None else move(device)
