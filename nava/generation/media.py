"""MP4 files (H.264, AAC) and WAV files (16-bit PCM): the same bytes for the same input, with exact lengths and tags."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from nava.runtime.errors import InputError
from nava.runtime.storage import atomic_file

_AUDIO_BIT_RATE = 96_000  # of each channel
_LAYOUTS = {1: "mono", 2: "stereo"}


@dataclass(frozen=True)
class Media:
    """A decoded file: frames uint8 [T, H, W, 3] with their rate, mono samples float32 [N] with theirs."""

    frames: np.ndarray
    fps: Fraction
    samples: np.ndarray
    sample_rate: int


def write_mp4(
    path: Path,
    video_THWC: np.ndarray | None,
    fps: float,
    audio_samples: np.ndarray | None,
    sample_rate: int,
    *,
    crf: int = 18,
    upscale: int = 1,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a clip so that it starts playing before it is loaded whole, and appears at once or not at all.

    Args:
        path: the file to write, named .mp4.
        video_THWC: uint8 RGB frames, or None for sound alone.
        fps: frames per second.
        audio_samples: samples in [-1, 1], clipped to it: mono [N], or [channels, N] with one or two channels; or None
            for a clip without an audio track.
        sample_rate: samples per second.
        crf: quality of the video, 0 (lossless) to 51.
        upscale: whole factor by which pixels are repeated, so that tiny clips can be seen.
        tags: metadata of the container, such as `title` and `comment`.

    Raises:
        InputError: arrays of the wrong type or shape, odd frame sizes, values that are not finite, or nothing to write.
    """
    if video_THWC is None and audio_samples is None:
        raise InputError(f"nothing to write to {path.name}: give frames, samples, or both")
    frames = None if video_THWC is None else _checked_frames(video_THWC, upscale)
    samples = None if audio_samples is None else _checked_samples(audio_samples)
    with atomic_file(path) as temporary:
        rate = Fraction(fps).limit_denominator(1001)
        options = {
            "movflags": "+faststart",  # the index comes first
            "fflags": "+bitexact",  # no versions and no times in the file
            # A unit of time in which frames and samples are whole: in the default, 1 ms, lengths are rounded.
            "movie_timescale": str(math.lcm(sample_rate, rate.numerator)),
        }
        with av.open(str(temporary), "w", format="mp4", options=options) as container:
            container.metadata.update(tags or {})
            writers: list[tuple[Any, Sequence[Any]]] = []
            if frames is not None:
                writers.append((_video_stream(container, frames, rate, crf), _video_frames(frames)))
            if samples is not None:
                stream = container.add_stream("aac", rate=sample_rate, layout=_LAYOUTS[len(samples)])
                stream.bit_rate = _AUDIO_BIT_RATE * len(samples)
                writers.append((stream, _audio_frames(samples, sample_rate)))
            _encode(container, writers)


def write_wav(
    path: Path, audio_samples: np.ndarray, sample_rate: int, *, tags: Mapping[str, str] | None = None
) -> None:
    """Write sound as 16-bit PCM; the file appears at once or not at all.

    Args:
        path: the file to write, named .wav.
        audio_samples: samples in [-1, 1], clipped to it: mono [N], or [channels, N] with one or two channels.
        sample_rate: samples per second.
        tags: metadata of the file, such as `title` and `comment`.

    Raises:
        InputError: samples of the wrong type or shape, or values that are not finite.
    """
    samples = _checked_samples(audio_samples)
    with (
        atomic_file(path) as temporary,
        av.open(str(temporary), "w", format="wav", options={"fflags": "+bitexact"}) as container,
    ):
        container.metadata.update(tags or {})
        stream = container.add_stream("pcm_s16le", rate=sample_rate, layout=_LAYOUTS[len(samples)])
        pcm = np.rint(samples * 32_767).astype(np.int16)
        _encode(container, [(stream, _audio_frames(pcm, sample_rate))])


def read_mp4(path: Path) -> Media:
    """Decode a clip, its channels mixed to one; the encoder's padding at the end of the sound is cut off.

    Raises:
        InputError: the file is missing or is not media that can be decoded.
    """
    try:
        with av.open(str(path)) as container:
            frames, fps = _read_frames(container)
        with av.open(str(path)) as container:
            samples, sample_rate = _read_samples(container)
    except (av.FFmpegError, OSError) as error:
        raise InputError(f"{path.name} cannot be decoded ({error}); it must be a complete media file") from error
    return Media(frames, fps, samples, sample_rate)


def _checked_frames(video_THWC: np.ndarray, upscale: int) -> np.ndarray:
    if video_THWC.ndim != 4 or video_THWC.shape[3] != 3 or video_THWC.dtype != np.uint8 or not len(video_THWC):
        raise InputError(f"frames must be uint8 [T, H, W, 3], got {video_THWC.dtype} {list(video_THWC.shape)}")
    if upscale < 1:
        raise InputError(f"upscale must be a whole factor of at least 1, got {upscale}")
    frames = video_THWC.repeat(upscale, axis=1).repeat(upscale, axis=2)
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise InputError(f"H.264 needs even frame sizes, got {frames.shape[2]} x {frames.shape[1]}")
    return frames


def _checked_samples(samples: np.ndarray) -> np.ndarray:
    """Samples [channels, N], clipped."""
    channels = np.atleast_2d(samples)
    if channels.ndim != 2 or len(channels) not in _LAYOUTS or not np.issubdtype(samples.dtype, np.floating):
        raise InputError(f"samples must be floats [N] or [1 or 2, N], got {samples.dtype} {list(samples.shape)}")
    if not channels.size:
        raise InputError("there are no samples to write")
    if not np.isfinite(channels).all():
        raise InputError("samples contain values that are not finite")
    return channels.astype(np.float32).clip(-1.0, 1.0)


def _video_stream(container: Any, frames: np.ndarray, rate: Fraction, crf: int) -> Any:
    # One thread, or the bytes may differ from run to run; and x264's exact rate control: its fast one reads past the
    # edge of frames as small as 64 x 64, so that their bytes depend on what the memory held before.
    options = {"crf": str(crf), "x264-params": "cpu-independent=1"}
    stream = container.add_stream("libx264", rate=rate, options=options)
    stream.codec_context.thread_count = 1
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = "yuv420p"
    return stream


def _encode(container: Any, writers: list[tuple[Any, Sequence[Any]]]) -> None:
    for stream, units in writers:
        for unit in (*units, None):
            container.mux(stream.encode(unit))


def _video_frames(frames: np.ndarray) -> list[av.VideoFrame]:
    return [av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24") for frame in frames]


def _audio_frames(samples: np.ndarray, sample_rate: int) -> list[av.AudioFrame]:
    """One frame with all samples: planar floats for AAC, interleaved integers for PCM."""
    layout = _LAYOUTS[len(samples)]
    if samples.dtype == np.int16:
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T).reshape(1, -1), format="s16", layout=layout)
    else:
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout=layout)
    frame.sample_rate, frame.pts, frame.time_base = sample_rate, 0, Fraction(1, sample_rate)
    return [frame]


def _read_frames(container: Any) -> tuple[np.ndarray, Fraction]:
    if not container.streams.video:
        return np.zeros((0, 0, 0, 3), np.uint8), Fraction(0)
    stream = container.streams.video[0]
    stream.thread_type = "NONE"
    frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    return np.stack(frames), Fraction(stream.average_rate)


def _read_samples(container: Any) -> tuple[np.ndarray, int]:
    if not container.streams.audio:
        return np.zeros(0, np.float32), 0
    stream = container.streams.audio[0]
    resampler = av.AudioResampler(format="fltp", layout="mono", rate=stream.rate)
    parts = [part for frame in container.decode(stream) for part in resampler.resample(frame)]
    parts += resampler.resample(None)
    samples = np.concatenate([part.to_ndarray()[0] for part in parts]) if parts else np.zeros(0, np.float32)
    length = round(stream.duration * stream.time_base * stream.rate) if stream.duration else len(samples)
    return samples[:length], stream.rate
