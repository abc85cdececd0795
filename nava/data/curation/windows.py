"""Clip transcode: windows of a shot at exactly 24 fps and exactly 33,280 samples, and their files."""

from __future__ import annotations

import wave
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from nava.config.curation import ClipConfig
from nava.data.curation.cuts import Shot
from nava.data.curation.decoding import DecodedSource

_FADE_S = 0.005


@dataclass(frozen=True)
class Window:
    """A clip in memory.

    Attributes:
        t0_s, t1_s: where the pictures lie on the source's clock (for audio: where the samples lie).
        frames_THWC: uint8 [frames, height, width, 3], or None for an audio-only clip.
        audio: float32 [samples], mono, at the clip's sample rate.
    """

    shot: int
    t0_s: float
    t1_s: float
    frames_THWC: npt.NDArray[np.uint8] | None  # noqa: N815
    audio: npt.NDArray[np.float32]


@dataclass
class WindowStage:
    """Places clips in shots and resamples them by presentation time, so that any frame rate, also a variable one,
    becomes the clip's.
    """

    clip: ClipConfig
    margin_s: float
    fade_margin_s: float
    name: str = "windows"
    version: str = "1"

    @property
    def clip_s(self) -> float:
        """Length of a clip's pictures in seconds."""
        return self.clip.frames / self.clip.fps

    def process(self, source: DecodedSource, shot: Shot) -> list[Window]:
        """The clips of a shot: none if it is too short, at most `max_clips_per_shot`, evenly spread.

        The margins to the cuts give way, down to nothing, in a shot that is barely long enough.
        """
        slack_s = shot.duration_s - self.clip_s
        # A frame-sized rounding of the container's clock must not cost a shot its only clip.
        if slack_s < -0.25 / self.clip.fps:
            return []
        before_s = self.fade_margin_s if shot.fades_in else self.margin_s
        after_s = self.fade_margin_s if shot.fades_out else self.margin_s
        give_way = min(1.0, max(slack_s, 0.0) / (before_s + after_s)) if before_s + after_s else 0.0
        usable_s = shot.duration_s - give_way * (before_s + after_s)
        count = min(max(int(usable_s / self.clip_s + 1e-6), 1), self.clip.max_clips_per_shot)
        start_s = shot.t0_s + give_way * before_s
        return [self._cut(source, shot, start_s + number * (usable_s / count)) for number in range(count)]

    def process_audio(self, source: DecodedSource) -> list[Window]:
        """Whole windows of an audio-only source, back to back from its start."""
        size, rate = self.clip.samples, self.clip.sample_rate_hz
        return [
            Window(0, start / rate, (start + size) / rate, None, source.audio[start : start + size])
            for start in range(0, len(source.audio) - size + 1, size)
        ]

    def _cut(self, source: DecodedSource, shot: Shot, t0_s: float) -> Window:
        wanted_T = t0_s + np.arange(self.clip.frames) / self.clip.fps
        times_s = source.times_s[shot.first : shot.last + 1]
        # The frame on screen at each moment is the one that began last; half a millisecond forgives clock rounding.
        index_T = np.clip(np.searchsorted(times_s, wanted_T + 5e-4, side="right") - 1, 0, len(times_s) - 1)
        audio = _cut_audio(source.audio, source.sample_rate_hz, t0_s, self.clip.samples, shot.t1_s)
        return Window(shot.index, t0_s, t0_s + self.clip_s, source.frames_THWC[shot.first + index_T], audio)


def _cut_audio(
    audio: npt.NDArray[np.float32], rate_hz: int, t0_s: float, samples: int, end_s: float
) -> npt.NDArray[np.float32]:
    """`samples` samples from `t0_s`; what lies beyond the shot's end is silence, so that the next shot's sound stays
    out.
    """
    start = round(t0_s * rate_hz)
    stop = min(start + samples, round(end_s * rate_hz), len(audio))
    cut = np.zeros(samples, np.float32)
    if stop > start:
        cut[: stop - start] = audio[start:stop]
        fade = min(int(_FADE_S * rate_hz), stop - start)
        if stop - start < samples and fade:
            cut[stop - start - fade : stop - start] *= np.linspace(1, 0, fade, dtype=np.float32)
    return cut


def write_wav(path: Path, audio: npt.NDArray[np.float32], rate_hz: int) -> None:
    """Writes mono 16-bit PCM, without loss but for the rounding."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(np.clip(np.rint(audio * 32767), -32768, 32767).astype("<i2").tobytes())


def write_mp4(path: Path, window: Window, clip: ClipConfig) -> None:
    """Writes H.264 and AAC for viewing; one encoder thread, so that the bytes depend on the content only."""
    assert window.frames_THWC is not None, "an audio-only clip has no mp4"
    with av.open(str(path), "w", container_options={"movflags": "+faststart"}) as container:
        container.flags |= av.container.Flags.bitexact.value
        # x264's fast arithmetic depends on what lies in memory at small sizes; the exact one costs nothing here.
        exact = {"x264-params": "cpu-independent=1"}
        options = {"crf": str(clip.video_crf), "preset": "veryfast", "threads": "1", **exact}
        video = container.add_stream("libx264", rate=clip.fps, options=options)
        video.width, video.height, video.pix_fmt = clip.width, clip.height, "yuv420p"
        video.codec_context.time_base = Fraction(1, clip.fps)
        # The default coder searches ten times as long for a difference that viewing does not show.
        audio = container.add_stream("aac", rate=clip.sample_rate_hz, layout="mono", options={"aac_coder": "fast"})
        audio.bit_rate = clip.audio_bitrate_bps
        # Clips are encoded in parallel processes; threads within one would only wait for each other.
        video.codec_context.thread_count = audio.codec_context.thread_count = 1
        for number, picture in enumerate(window.frames_THWC):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, clip.fps)
            container.mux(video.encode(frame))
        sound = av.AudioFrame.from_ndarray(window.audio[None], format="fltp", layout="mono")
        sound.sample_rate, sound.pts, sound.time_base = clip.sample_rate_hz, 0, Fraction(1, clip.sample_rate_hz)
        container.mux(audio.encode(sound))
        container.mux(video.encode())
        container.mux(audio.encode())
