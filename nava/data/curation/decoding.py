"""Integrity: every packet of a source is demuxed and decoded once, errors are counted, and what later stages look at is
kept.

Damaged payloads do not raise when a file is opened, and a damaged packet may raise any FFmpegError, so errors are
caught per packet. A hostile file may crash the decoder: call this in a worker process that may die.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from nava.artifacts.clip_manifest import Reason
from nava.config.curation import IntegrityConfig
from nava.data.curation.stage import SourceRejectedError
from nava.data.media_files import open_media

SMALL_SIDE = 64  # pixels: the picture that cut detection looks at
STILL_INTERVAL_S = 0.5  # between stills kept at source resolution, for sharpness and burnt-in text
STILL_MAX_HEIGHT = 360  # pixels
LUMA_FIRST_FORMATS = {"yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p", "nv12", "gray"}

Luma = npt.NDArray[np.uint8]

# What turns a picture upright, by the rotation its display matrix asks for (degrees).
_TURNS: dict[int, list[tuple[str, str | None]]] = {
    90: [("transpose", "cclock")],
    -90: [("transpose", "clock")],
    180: [("hflip", None), ("vflip", None)],
    -180: [("hflip", None), ("vflip", None)],
}


@dataclass
class Still:
    """A luma picture kept at (nearly) source resolution.

    Attributes:
        time_s: when, on the source's clock.
        luma_HW: uint8.
    """

    time_s: float
    luma_HW: Luma  # noqa: N815


def stills_between(stills: list[Still], t0_us: int, t1_us: int) -> list[Still]:
    """The stills of a time span, in microseconds."""
    return [still for still in stills if t0_us <= still.time_s * 1e6 < t1_us]


@dataclass
class SourceTrack:
    """What is kept of a source after its one full decode.

    Attributes:
        times_s: float64 [T], presentation times of the frames.
        small_THWC: uint8 [T, 64, 64, 3], the whole upright picture, whatever its shape.
        stills: sampled luma pictures at (nearly) source resolution, upright.
        audio: float32 [samples], mono, sample 0 at time 0; empty without an audio track.
        has_audio: the file has an audio track (which may still be silent).
        width, height: of the upright picture in pixels.
        largest_gap_s: longest time between two frames.
    """

    times_s: npt.NDArray[np.float64]
    small_THWC: npt.NDArray[np.uint8]  # noqa: N815
    stills: list[Still]
    audio: npt.NDArray[np.float32]
    sample_rate_hz: int
    has_video: bool
    has_audio: bool
    width: int = 0
    height: int = 0
    packets: int = 0
    packet_errors: int = 0
    corrupt_frames: int = 0
    largest_gap_s: float = 0.0
    duration_s: float = 0.0
    vcodec: str = ""
    acodec: str = ""

    @cached_property
    def small_luma_THW(self) -> Luma:  # noqa: N802
        """BT.601 luma of the small pictures, uint8 [T, 64, 64]."""
        weights = np.array([77, 150, 29], np.uint16)
        luma_THW = np.empty(self.small_THWC.shape[:3], np.uint8)
        for number, picture_HWC in enumerate(self.small_THWC):
            luma_THW[number] = (picture_HWC @ weights) >> 8
        return luma_THW

    @property
    def frame_s(self) -> float:
        """Typical time between two frames; 0 for a single picture."""
        return float(np.median(np.diff(self.times_s))) if len(self.times_s) > 1 else 0.0


def decode_source(path: Path, sample_rate_hz: int, limits: IntegrityConfig) -> SourceTrack:
    """Demux and decode one local file whole.

    Raises:
        SourceRejectedError: it cannot be opened, nothing decodes, it is truncated, damaged beyond the limits, or too
            long.
    """
    with ExitStack() as stack:
        try:
            container = stack.enter_context(open_media(path))
        except (av.FFmpegError, ValueError) as error:
            raise SourceRejectedError(Reason.UNDECODABLE, f"cannot be opened as media: {_plain(error)}") from error
        decoder = _Decoder(container, sample_rate_hz)
        if decoder.video is None and decoder.audio is None:
            raise SourceRejectedError(Reason.UNDECODABLE, "holds neither a video nor an audio stream")
        promised_s = decoder.promised_duration_s()
        if promised_s > limits.max_source_duration_s:
            detail = f"lasts {promised_s:.0f} s, the limit is {limits.max_source_duration_s:.0f} s"
            raise SourceRejectedError(Reason.TOO_LONG, detail)
        decoder.run(limits.max_source_duration_s)
        track = decoder.result()
        promises = decoder.promises(track)
    _judge(track, promises, limits)
    return track


def _judge(track: SourceTrack, promises: list[tuple[str, float, float]], limits: IntegrityConfig) -> None:
    """Hold what was counted against the limits."""
    errors = track.packet_errors + track.corrupt_frames
    if track.has_video and not len(track.times_s):
        detail = f"not one of its video frames decodes ({track.packet_errors} packet errors)"
        raise SourceRejectedError(Reason.UNDECODABLE, detail)
    if track.has_audio and not len(track.audio) and (track.packet_errors or not track.has_video):
        detail = f"nothing of its audio decodes ({track.packet_errors} packet errors)"
        raise SourceRejectedError(Reason.UNDECODABLE, detail)
    for what, promised_s, decoded_s in promises:
        if decoded_s < limits.min_decoded_share * promised_s - 0.1:
            detail = f"the {what} promises {promised_s:.2f} s, {decoded_s:.2f} s decode"
            raise SourceRejectedError(Reason.TRUNCATED, detail)
    if errors > limits.max_error_share * max(track.packets, 1):
        counts = f"{track.packet_errors} packet errors, {track.corrupt_frames} corrupt frames"
        detail = f"{counts} in {track.packets} packets"
        raise SourceRejectedError(Reason.DAMAGED, detail)
    # A recording with a variable rate has long pauses too: a pause is damage only beside an error.
    if errors and track.largest_gap_s > limits.max_gap_s:
        detail = f"{errors} errors and a gap of {track.largest_gap_s:.2f} s between two frames"
        raise SourceRejectedError(Reason.DAMAGED, detail)


@dataclass
class _Decoder:
    """The state of one decode; memory grows with the small frames and the sound, not with the source's pictures."""

    container: Any
    sample_rate_hz: int
    packets: int = 0
    packet_errors: int = 0
    corrupt_frames: int = 0
    times_s: list[float] = field(default_factory=list)
    smalls: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    stills: list[Still] = field(default_factory=list)
    audio_parts: list[tuple[float | None, npt.NDArray[np.float32]]] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)

    def __post_init__(self) -> None:
        self.video, self.audio = first_streams(self.container)
        self.scaler: PictureScaler | None = None
        self.resampler = av.AudioResampler(format="fltp", layout="mono", rate=self.sample_rate_hz)

    def promised_duration_s(self) -> float:
        """Duration by the container's word, 0 when it gives none."""
        return float(self.container.duration or 0) / av.time_base

    def promises(self, track: SourceTrack) -> list[tuple[str, float, float]]:
        """(what promises, promised seconds, decoded seconds), of each stream where streams say how long they are.

        Sound often goes on after the last picture, or ends before: only a container whose streams say nothing is held
        against the longer of the two.
        """
        decoded = {"video": track.duration_s if self.video else 0.0, "audio": len(track.audio) / self.sample_rate_hz}
        streams = [("video", self.video), ("audio", self.audio)]
        found = [
            (f"{kind} stream", float(stream.duration * stream.time_base), decoded[kind])
            for kind, stream in streams
            if stream is not None and stream.duration and stream.time_base
        ]
        whole = self.promised_duration_s()
        return found or ([("container", whole, max(decoded.values()))] if whole else [])

    def run(self, limit_s: float) -> None:
        """Decode every packet; an error costs its packet only."""
        wanted = [stream for stream in (self.video, self.audio) if stream is not None]
        packets = self.container.demux(wanted)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.FFmpegError:
                self.packet_errors += 1
                break  # the demuxer cannot go on
            self.packets += 1
            try:
                for frame in packet.decode():
                    self._take_video(frame) if packet.stream is self.video else self._take_audio(frame)
            except av.FFmpegError:
                self.packet_errors += 1
            if self.times_s and self.times_s[-1] > limit_s:
                raise SourceRejectedError(Reason.TOO_LONG, f"goes on after the limit of {limit_s:.0f} s")
        if self.audio is not None and self.audio_parts:
            self.audio_parts.extend((block.time, samples_of(block)[0]) for block in self.resampler.resample(None))

    def _take_video(self, frame: Any) -> None:
        if not is_next(frame, self.times_s):
            self.corrupt_frames += 1
            return
        self.corrupt_frames += bool(frame.is_corrupt)
        if self.scaler is None or not self.scaler.fits(frame):
            self.scaler = PictureScaler(frame, (SMALL_SIDE, SMALL_SIDE))
        self.smalls.append(self.scaler(frame))
        self.times_s.append(frame.time)
        if not self.stills or frame.time - self.stills[-1].time_s >= STILL_INTERVAL_S:
            luma_HW = _upright_luma(frame)
            self.size = self.size if self.stills else (luma_HW.shape[1], luma_HW.shape[0])
            self.stills.append(Still(frame.time, _at_most(luma_HW, STILL_MAX_HEIGHT)))

    def _take_audio(self, frame: Any) -> None:
        self.audio_parts.extend((block.time, samples_of(block)[0]) for block in self.resampler.resample(frame))

    def result(self) -> SourceTrack:
        """What was decoded."""
        audio = join_audio([(time, part[None]) for time, part in self.audio_parts], self.sample_rate_hz)
        times_s = np.asarray(self.times_s)
        track = SourceTrack(
            times_s=times_s,
            small_THWC=np.stack(self.smalls) if self.smalls else np.zeros((0, SMALL_SIDE, SMALL_SIDE, 3), np.uint8),
            stills=self.stills,
            audio=audio[0] if len(audio) else np.zeros(0, np.float32),
            sample_rate_hz=self.sample_rate_hz,
            has_video=self.video is not None,
            has_audio=self.audio is not None,
            width=self.size[0],
            height=self.size[1],
            packets=self.packets,
            packet_errors=self.packet_errors,
            corrupt_frames=self.corrupt_frames,
            largest_gap_s=float(np.diff(times_s).max()) if len(times_s) > 1 else 0.0,
            vcodec=self.video.codec_context.name if self.video is not None else "",
            acodec=self.audio.codec_context.name if self.audio is not None else "",
        )
        video_end_s = float(times_s[-1]) + track.frame_s if len(times_s) else 0.0
        track.duration_s = len(track.audio) / self.sample_rate_hz if self.video is None else video_end_s
        return track


def first_streams(container: Any) -> tuple[Any, Any]:
    """The video and the audio stream that are looked at, or None; one decoding thread each, files run in parallel."""
    # An attached cover picture of a song is a video stream by name only.
    attached = av.stream.Disposition.attached_pic
    videos = [stream for stream in container.streams.video if not stream.disposition & attached]
    video = videos[0] if videos else None
    audio = container.streams.audio[0] if container.streams.audio else None
    if video is not None:
        video.codec_context.thread_count = 1
        video.codec_context.thread_type = "NONE"
    return video, audio


def is_next(frame: Any, times_s: list[float]) -> bool:
    """Whether a frame comes after those before it; others are counted as corrupt and left out."""
    return frame.time is not None and (not times_s or frame.time > times_s[-1])


class PictureScaler:
    """One pass of libswscale per frame: turned upright, cropped, scaled to `size`, RGB.

    Args:
        frame: the first one; a file may change its form midway, see `fits`.
        size: (width, height) in pixels.
        crop: what to keep of the upright picture, as shares (x0, y0, x1, y1).
        keep_aspect: cut the centre to the aspect of `size` first; otherwise the picture is squeezed.
    """

    def __init__(
        self,
        frame: Any,
        size: tuple[int, int],
        crop: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0),
        keep_aspect: bool = False,
    ) -> None:
        self.form = _form(frame)
        self.graph = av.filter.Graph()
        last = self.graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base
        )
        for name, arguments in self._filters(frame, size, crop, keep_aspect):
            node = self.graph.add(name, arguments)
            last.link_to(node)
            last = node
        self.sink = last
        self.graph.configure()

    def _filters(
        self, frame: Any, size: tuple[int, int], crop: tuple[float, float, float, float], keep_aspect: bool
    ) -> list[tuple[str, str | None]]:
        width, height = size
        x0, y0, x1, y1 = crop
        filters = list(_TURNS.get(round(frame.rotation), []))
        if crop != (0.0, 0.0, 1.0, 1.0):
            filters.append(("crop", f"w=iw*{x1 - x0}:h=ih*{y1 - y0}:x=iw*{x0}:y=ih*{y0}:exact=1"))
        if keep_aspect:
            aspect = f"{width}/{height}"
            filters.append(("crop", f"w='min(iw,ih*{aspect})':h='min(ih,iw/({aspect}))':exact=1"))
        scale = f"{width}:{height}:flags=area" + ("+accurate_rnd" if keep_aspect else "")
        return [*filters, ("scale", scale), ("format", "rgb24"), ("buffersink", None)]

    def fits(self, frame: Any) -> bool:
        """Whether `frame` has the form this scaler was built for."""
        return self.form == _form(frame)

    def __call__(self, frame: Any) -> npt.NDArray[np.uint8]:
        """One frame to uint8 [height, width, 3]."""
        self.graph.push(frame)
        picture: npt.NDArray[np.uint8] = self.sink.pull().to_ndarray()
        return picture


def _form(frame: Any) -> tuple[int, int, str, float]:
    return frame.width, frame.height, frame.format.name, frame.rotation


def _luma(frame: Any) -> Luma:
    """The luma plane without a copy where the format has one; swscale's grey otherwise. `to_ndarray("gray")` costs
    more.
    """
    if frame.format.name not in LUMA_FIRST_FORMATS:
        frame = frame.reformat(format="gray")
    plane = frame.planes[0]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: frame.height, : frame.width]


def _upright_luma(frame: Any) -> Luma:
    """Luma turned as its display matrix asks; `np.rot90` counts quarter turns against the clock, as rotation does."""
    turned: Luma = np.rot90(_luma(frame), round(frame.rotation / 90.0))
    return turned


def _at_most(luma_HW: Luma, max_height: int) -> Luma:
    """A copy no higher than `max_height`."""
    scale = min(1.0, max_height / luma_HW.shape[0])
    if scale == 1.0:
        return luma_HW.copy()
    size = (round(luma_HW.shape[1] * scale), round(luma_HW.shape[0] * scale))
    return np.asarray(cv2.resize(luma_HW, size, interpolation=cv2.INTER_AREA), np.uint8)


def samples_of(block: Any) -> npt.NDArray[np.float32]:
    """Samples of a planar float block, [channels, samples]."""
    samples: npt.NDArray[np.float32] = block.to_ndarray().astype(np.float32, copy=False)
    return samples


def join_audio(parts: list[tuple[float | None, npt.NDArray[np.float32]]], rate_hz: int) -> npt.NDArray[np.float32]:
    """Joins blocks [channels, samples] so that sample 0 is time 0, and a gap in the track (over 50 ms) is silence, not
    a shift of what follows.
    """
    joined: list[npt.NDArray[np.float32]] = []
    position = 0
    for start_s, samples in parts:
        behind = round(start_s * rate_hz) - position if start_s is not None else 0
        if not joined and behind < 0:
            samples = samples[:, -behind:]
        elif behind > (0.05 * rate_hz if joined else 0):
            joined.append(np.zeros((len(samples), behind), np.float32))
            position += behind
        joined.append(samples)
        position += samples.shape[1]
    return np.concatenate(joined, axis=1) if joined else np.zeros((0, 0), np.float32)


def _plain(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
