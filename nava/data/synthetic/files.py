"""Media files: encoded with one thread and nothing of time or place in the bytes, so that they repeat exactly."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from nava.data.synthetic.sound import Samples

BIT_EXACT = {"fflags": "+bitexact"}
_AUDIO_CODECS = {
    "wav": ("pcm_s16le", "s16"),
    "flac": ("flac", "s16"),
    "mp3": ("libmp3lame", "fltp"),
    "m4a": ("aac", "fltp"),
}
_BLOCK = 1024  # samples to a call, an AAC frame


@dataclass(frozen=True)
class Film:
    """Decoded or rendered media.

    Attributes:
        frames_THWC: uint8 RGB.
        audio_CL: float32 in [-1, 1], one row per channel, or None for a film without an audio track.
    """

    frames_THWC: NDArray[np.uint8]  # noqa: N815
    fps: Fraction
    audio_CL: Samples | None  # noqa: N815
    sample_rate_hz: int


def _layout(channels: int) -> str:
    return {1: "mono", 2: "stereo", 6: "5.1"}[channels]


def write_mp4(path: Path, film: Film, crf: int = 20, front_index: bool = False) -> None:
    """Write H.264 and AAC.

    x264 runs with exact arithmetic (`cpu-independent`): the fast one of AVX-512 machines takes in what lies in memory
    beyond the picture, and one file in eight differs from run to run.

    Args:
        crf: x264's constant rate factor; higher is coarser.
        front_index: put the index before the media, so that the beginning of a cut file still plays.
    """
    movflags = {"movflags": "+faststart"} if front_index else {}
    with av.open(str(path), "w", format="mp4", options=BIT_EXACT | movflags) as container:
        options = {"preset": "veryfast", "crf": str(crf), "threads": "1", "x264-params": "cpu-independent=1"}
        video: Any = container.add_stream("libx264", rate=film.fps, options=options)
        _, video.height, video.width, _ = film.frames_THWC.shape
        video.pix_fmt = "yuv420p"
        video.codec_context.flags |= av.codec.context.Flags.bitexact
        audio: Any = None
        if film.audio_CL is not None:
            layout = _layout(len(film.audio_CL))
            audio = container.add_stream("aac", rate=film.sample_rate_hz, layout=layout, options={"aac_coder": "fast"})
            audio.bit_rate = 96_000
            audio.codec_context.flags |= av.codec.context.Flags.bitexact
        for frame_HWC in film.frames_THWC:
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame_HWC, format="rgb24")))
        container.mux(video.encode(None))
        if audio is not None and film.audio_CL is not None:
            encode_audio(container, audio, film.audio_CL, film.sample_rate_hz, "fltp")


def encode_audio(container: Any, stream: Any, audio_CL: Samples, sample_rate_hz: int, sample_format: str) -> None:
    """Encode float samples in the format that the codec takes: `fltp` one plane per channel, `flt` and `s16` packed."""
    for start in range(0, audio_CL.shape[1], _BLOCK):
        block: NDArray[Any] = np.ascontiguousarray(audio_CL[:, start : start + _BLOCK])
        if sample_format == "s16":
            block = (np.clip(block, -1.0, 1.0) * 32767.0).round().astype(np.int16).T.reshape(1, -1)
        elif sample_format == "flt":
            block = np.ascontiguousarray(block.T.reshape(1, -1))
        frame = av.AudioFrame.from_ndarray(block, format=sample_format, layout=_layout(len(audio_CL)))
        frame.sample_rate, frame.pts, frame.time_base = sample_rate_hz, start, Fraction(1, sample_rate_hz)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_audio(path: Path, audio_CL: Samples, sample_rate_hz: int) -> None:
    """Write WAV, FLAC, MP3 or M4A, by the path's suffix."""
    suffix = path.suffix.removeprefix(".")
    codec, sample_format = _AUDIO_CODECS[suffix]
    with av.open(str(path), "w", format="ipod" if suffix == "m4a" else suffix, options=BIT_EXACT) as container:
        stream: Any = container.add_stream(codec, rate=sample_rate_hz, layout=_layout(len(audio_CL)))
        stream.codec_context.flags |= av.codec.context.Flags.bitexact
        encode_audio(container, stream, audio_CL, sample_rate_hz, sample_format)


def read_film(path: Path) -> Film:
    """Decode a whole file; its audio is cut to the picture's length, because encoders round it up to whole frames.

    Raises:
        av.FFmpegError: the file cannot be decoded.
    """
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        video.thread_count = 1
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        fps = Fraction(video.average_rate or 24)
    audio_CL, rate = read_audio(path)
    length = round(len(frames) / fps * rate)
    return Film(np.stack(frames), fps, None if audio_CL is None else audio_CL[:, :length], rate)


def read_audio(path: Path) -> tuple[Samples | None, int]:
    """Decode the first audio track as (C, L) float32 at its own rate; None and 0 if there is none."""
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return None, 0
        stream = container.streams.audio[0]
        resampler = av.AudioResampler(format="fltp", layout=stream.layout, rate=stream.rate)
        blocks = [block.to_ndarray() for frame in container.decode(stream) for block in resampler.resample(frame)]
        blocks += [block.to_ndarray() for block in resampler.resample(None)]
        return np.concatenate(blocks, axis=1).astype(np.float32), int(stream.rate)
