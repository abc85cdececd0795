"""Codecs by name: build them from the configuration, keep both in a folder, load them again."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from nava.config.latents import AudioCodecConfig, VideoCodecConfig
from nava.latents.block_dct import BlockDctCodec
from nava.latents.block_pca import BlockPcaCodec
from nava.latents.codec_files import codec_type
from nava.latents.interface import AudioCodec, VideoCodec
from nava.latents.mel_pca import MelPcaCodec
from nava.runtime.errors import InputError

VIDEO_CODECS: dict[str, type[VideoCodec]] = {"block_dct": BlockDctCodec, "block_pca": BlockPcaCodec}
AUDIO_CODECS: dict[str, type[AudioCodec]] = {"mel_pca": MelPcaCodec}
VIDEO_FOLDER = "video"
AUDIO_FOLDER = "audio"

# Gives the clips to fit on, batch by batch; only called for codecs that need a fit.
ReadVideos = Callable[[], Iterable[Tensor]]
ReadSamples = Callable[[], Iterable[Tensor]]


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
        InputError: unknown type, or too little to fit on.
    """
    match config.type:
        case BlockPcaCodec.type_name:
            return BlockPcaCodec.fit(read_videos(), clip_count, config, seed)
        case BlockDctCodec.type_name:
            return BlockDctCodec.build(config)
    raise _unknown("video", config.type, VIDEO_CODECS)


def build_audio_codec(config: AudioCodecConfig, read_samples: ReadSamples) -> AudioCodec:
    """Build the codec that ``config.type`` names, fitted on the samples.

    Raises:
        InputError: unknown type, or too little to fit on.
    """
    if config.type == MelPcaCodec.type_name:
        return MelPcaCodec.fit(read_samples(), config)
    raise _unknown("audio", config.type, AUDIO_CODECS)


def save_codecs(codecs: Codecs, directory: Path) -> None:
    """Write both codecs to ``directory/video`` and ``directory/audio``."""
    codecs.video.save(directory / VIDEO_FOLDER)
    codecs.audio.save(directory / AUDIO_FOLDER)


def load_codecs(directory: Path) -> Codecs:
    """Load both codecs and verify their digests.

    Raises:
        InputError: a codec is missing, damaged, or of a type this release does not know.
    """
    video, audio = directory / VIDEO_FOLDER, directory / AUDIO_FOLDER
    video_type, audio_type = codec_type(video), codec_type(audio)
    if video_type not in VIDEO_CODECS:
        raise _unknown("video", video_type, VIDEO_CODECS)
    if audio_type not in AUDIO_CODECS:
        raise _unknown("audio", audio_type, AUDIO_CODECS)
    return Codecs(VIDEO_CODECS[video_type].load(video), AUDIO_CODECS[audio_type].load(audio))


def _unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    return InputError(f"unknown {kind} codec type '{name}'; known types: {', '.join(sorted(known))}")
