"""Clip transcode: one more pass over the source writes every clip at exactly 24 fps in its bucket, with its sound at
16 kHz for the model and at 48 kHz to keep.
"""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from nava.config.curation import ClipConfig
from nava.data.curation.decoding import PictureScaler, first_streams, is_next, join_audio, samples_of
from nava.data.media_files import open_media
from nava.runtime.storage import atomic_file

_FADE_S = 0.005
Samples = npt.NDArray[np.float32]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class PictureCut:
    """The pictures of one clip: which frames of the source, cropped to what, scaled to what.

    Attributes:
        frames_T: int64 [frames], not decreasing.
        crop: shares of the upright source picture (x0, y0, x1, y1).
        size: (width, height) of the bucket.
    """

    frames_T: npt.NDArray[np.int64]  # noqa: N815
    crop: Box
    size: tuple[int, int]


def cut_pictures(path: Path, cuts: Sequence[PictureCut]) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
    """Decode a source once and give each clip's pictures, (number of the cut, uint8 [frames, height, width, 3]).

    Clips come as they are complete; only those being filled are in memory.
    """
    waiting = sorted(range(len(cuts)), key=lambda number: int(cuts[number].frames_T[0]))
    filling: dict[int, npt.NDArray[np.uint8]] = {}
    scalers: dict[tuple[Box, tuple[int, int]], PictureScaler] = {}
    for index, frame in enumerate(_frames(path)):
        while waiting and cuts[waiting[0]].frames_T[0] <= index:
            number = waiting.pop(0)
            width, height = cuts[number].size
            filling[number] = np.empty((len(cuts[number].frames_T), height, width, 3), np.uint8)
        for number in list(filling):
            cut = cuts[number]
            places = np.flatnonzero(cut.frames_T == index)
            if len(places):
                filling[number][places] = _scaled(scalers, frame, cut)
            if cut.frames_T[-1] == index:
                yield number, filling.pop(number)
        if not waiting and not filling:
            return


def _frames(path: Path) -> Iterator[av.VideoFrame]:
    """The frames that the integrity stage counted, in the same order."""
    with open_media(path) as container:
        video, _ = first_streams(container)
        times_s: list[float] = []
        packets = container.demux([video])
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                return
            except av.FFmpegError:
                continue
            for frame in frames:
                if isinstance(frame, av.VideoFrame) and is_next(frame, times_s):
                    times_s[:] = [float(frame.time or 0.0)]
                    yield frame


def _scaled(
    scalers: dict[tuple[Box, tuple[int, int]], PictureScaler], frame: av.VideoFrame, cut: PictureCut
) -> npt.NDArray[np.uint8]:
    key = (cut.crop, cut.size)
    if key not in scalers or not scalers[key].fits(frame):
        scalers[key] = PictureScaler(frame, cut.size, cut.crop, keep_aspect=True)
    return scalers[key](frame)


def read_sound(path: Path, rate_hz: int) -> Samples:
    """The whole sound of a source, float32 [channels, samples], one channel or two, sample 0 at time 0."""
    with open_media(path) as container:
        _, audio = first_streams(container)
        if audio is None:
            return np.zeros((0, 0), np.float32)
        layout = "mono" if audio.codec_context.channels == 1 else "stereo"
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate_hz)
        parts: list[tuple[float | None, Samples]] = []
        packets = container.demux([audio])
        while True:
            try:
                packet = next(packets)
                frames = packet.decode()
            except StopIteration:
                break
            except av.FFmpegError:
                continue
            for frame in frames:
                parts.extend((block.time, samples_of(block)) for block in resampler.resample(frame))
        if parts:
            parts.extend((block.time, samples_of(block)) for block in resampler.resample(None))
    return join_audio(parts, rate_hz)


def cut_sound(sound_CN: Samples, rate_hz: int, t0_s: float, samples: int, end_s: float) -> Samples:
    """`samples` samples from `t0_s` of [channels, samples]; what lies beyond the scene's end is silence, so that the
    next scene's sound stays out.
    """
    start = round(t0_s * rate_hz)
    stop = min(start + samples, round(end_s * rate_hz), sound_CN.shape[1])
    cut = np.zeros((len(sound_CN), samples), np.float32)
    if stop > start:
        cut[:, : stop - start] = sound_CN[:, start:stop]
        fade = min(int(_FADE_S * rate_hz), stop - start)
        if stop - start < samples and fade:
            cut[:, stop - start - fade : stop - start] *= np.linspace(1, 0, fade, dtype=np.float32)
    return cut


def write_wav(path: Path, audio: Samples, rate_hz: int) -> None:
    """Write mono samples [N] as 16-bit PCM, without loss but for the rounding; atomically."""
    with atomic_file(path) as partial, wave.open(str(partial), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(_pcm16(audio).tobytes())


def _pcm16(audio: Samples) -> npt.NDArray[np.int16]:
    return np.clip(np.rint(audio * 32767), -32768, 32767).astype("<i2")


def write_flac(path: Path, sound_CN: Samples, rate_hz: int) -> None:
    """Write one or two channels [channels, samples] as 16-bit FLAC; the bytes depend on the content only."""
    layout = "mono" if len(sound_CN) == 1 else "stereo"
    with atomic_file(path) as partial, av.open(str(partial), "w", format="flac") as container:
        container.flags |= av.container.Flags.bitexact.value
        stream = container.add_stream("flac", rate=rate_hz, layout=layout)
        stream.codec_context.thread_count = 1
        stream.codec_context.flags |= av.codec.context.Flags.bitexact.value
        interleaved = np.ascontiguousarray(_pcm16(sound_CN).T).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(interleaved, format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_mp4(path: Path, frames_THWC: npt.NDArray[np.uint8], sound_CN: Samples, clip: ClipConfig) -> None:
    """Write H.264 and AAC (the kept rate); one encoder thread, so that the bytes depend on the content only."""
    rate_hz, layout = clip.kept_sample_rate_hz, "mono" if len(sound_CN) == 1 else "stereo"
    options = {"movflags": "+faststart"}
    with atomic_file(path) as partial, av.open(str(partial), "w", container_options=options) as container:
        container.flags |= av.container.Flags.bitexact.value
        # x264's fast arithmetic depends on what lies in memory at small sizes; the exact one costs nothing here.
        exact = {"x264-params": "cpu-independent=1"}
        coder = {"crf": str(clip.video_crf), "preset": "veryfast", "threads": "1", **exact}
        video = container.add_stream("libx264", rate=clip.fps, options=coder)
        video.height, video.width = frames_THWC.shape[1:3]
        video.pix_fmt = "yuv420p"
        video.codec_context.time_base = Fraction(1, clip.fps)
        # The default coder searches ten times as long for a difference that viewing does not show.
        audio = container.add_stream("aac", rate=rate_hz, layout=layout, options={"aac_coder": "fast"})
        audio.bit_rate = clip.audio_bitrate_bps * len(sound_CN)
        # Clips are encoded in parallel processes; threads within one would only wait for each other.
        video.codec_context.thread_count = audio.codec_context.thread_count = 1
        for number, picture in enumerate(frames_THWC):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, clip.fps)
            container.mux(video.encode(frame))
        sound = av.AudioFrame.from_ndarray(sound_CN, format="fltp", layout=layout)
        sound.sample_rate, sound.pts, sound.time_base = rate_hz, 0, Fraction(1, rate_hz)
        container.mux(audio.encode(sound))
        container.mux(video.encode())
        container.mux(audio.encode())
