"""Decode check: every packet of a source is demuxed and decoded once, errors are counted, and what later stages need is
kept.

Damaged payloads do not raise when a file is opened, and a damaged packet may raise any FFmpegError, so errors are
caught per packet. A hostile file may crash the decoder: call this in a worker process that may die
(`nava.data.curation.pool`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt

from nava.artifacts.clip_manifest import Reason
from nava.config.curation import ClipConfig, DecodeConfig

# Playlists and concatenation scripts would make the demuxer open other files: only containers of media are accepted.
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,wav,w64,aiff,flac,mp3,aac"
OPEN_OPTIONS = {"format_whitelist": CONTAINERS, "protocol_whitelist": "file"}
ISO_MEDIA_BOXES = (b"ftyp", b"moov", b"mdat", b"free", b"wide")

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


class SourceRejectedError(Exception):
    """The source cannot be curated: a reason of the fixed list, and the detail for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass
class Still:
    """A luma picture kept at (nearly) source resolution.

    Attributes:
        time_s: when, on the source's clock.
        luma_HW: uint8.
    """

    time_s: float
    luma_HW: Luma  # noqa: N815


@dataclass
class DecodedSource:
    """A source after its one decode.

    Attributes:
        times_s: float64 [T], presentation times of the frames.
        frames_THWC: uint8 [T, height, width, 3], centre-cropped to the clip's aspect and scaled to its size.
        small_THW: uint8 [T, 64, 64], whole-frame luma.
        stills: sampled luma pictures at source resolution.
        audio: float32 [samples], mono, at the clip's sample rate, sample 0 at time 0; empty without an audio track.
        has_audio: the file has an audio track (which may still be silent).
    """

    times_s: npt.NDArray[np.float64]
    frames_THWC: npt.NDArray[np.uint8]  # noqa: N815
    small_THW: Luma  # noqa: N815
    stills: list[Still]
    audio: npt.NDArray[np.float32]
    sample_rate_hz: int
    has_video: bool
    has_audio: bool
    width: int = 0
    height: int = 0
    packet_errors: int = 0
    corrupt_frames: int = 0
    duration_s: float = 0.0


@dataclass
class DecodeStage:
    """Full demux and decode of one file, counting errors."""

    clip: ClipConfig
    limits: DecodeConfig
    name: str = "decode"
    version: str = "1"

    def process(self, path: Path) -> DecodedSource:
        """Decode `path` whole.

        Raises:
            SourceRejectedError: not media, truncated, undecodable, damaged beyond the limits, or too long.
        """
        try:
            container = av.open(str(path), options=OPEN_OPTIONS)
        except (av.FFmpegError, ValueError) as error:
            raise SourceRejectedError(_reason_to_open(path), f"cannot be opened as media: {_plain(error)}") from error
        with container:
            decoder = _Decoder(container, self.clip)
            if decoder.video is None and decoder.audio is None:
                raise SourceRejectedError(Reason.NOT_MEDIA, "holds neither a video nor an audio stream")
            promised_s = decoder.promised_duration_s()
            if promised_s > self.limits.max_source_duration_s:
                detail = f"lasts {promised_s:.0f} s, the limit is {self.limits.max_source_duration_s:.0f} s"
                raise SourceRejectedError(Reason.TOO_LONG, detail)
            decoder.run(self.limits.max_source_duration_s)
            source = decoder.result()
        self._judge(source, promised_s, decoder.packets)
        return source

    def _judge(self, source: DecodedSource, promised_s: float, packets: int) -> None:
        if source.has_video and not len(source.times_s):
            raise SourceRejectedError(
                Reason.UNDECODABLE, f"not one of its video frames decodes ({source.packet_errors} packet errors)"
            )
        if source.has_audio and not len(source.audio) and (source.packet_errors or not source.has_video):
            raise SourceRejectedError(
                Reason.UNDECODABLE, f"nothing of its audio decodes ({source.packet_errors} packet errors)"
            )
        if promised_s and source.duration_s < self.limits.min_decoded_share * promised_s - 0.1:
            detail = f"the container promises {promised_s:.2f} s, {source.duration_s:.2f} s decode"
            raise SourceRejectedError(Reason.TRUNCATED, detail)
        errors = source.packet_errors + source.corrupt_frames
        if errors > self.limits.max_error_share * max(packets, 1):
            detail = (
                f"{source.packet_errors} packet errors and {source.corrupt_frames} corrupt frames in {packets} packets"
            )
            raise SourceRejectedError(Reason.DAMAGED, detail)


@dataclass
class _Decoder:
    """The state of one decode; memory grows with the clip-sized frames, not with the source's."""

    container: Any
    clip: ClipConfig
    packets: int = 0
    packet_errors: int = 0
    corrupt_frames: int = 0
    times_s: list[float] = field(default_factory=list)
    frames: list[npt.NDArray[np.uint8]] = field(default_factory=list)
    smalls: list[Luma] = field(default_factory=list)
    stills: list[Still] = field(default_factory=list)
    audio_parts: list[tuple[float | None, npt.NDArray[np.float32]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        streams = self.container.streams
        # An attached cover picture of a song is a video stream by name only.
        videos = [stream for stream in streams.video if not stream.disposition & av.stream.Disposition.attached_pic]
        self.video = videos[0] if videos else None
        self.audio = streams.audio[0] if streams.audio else None
        self.scaler: _Scaler | None = None
        self.resampler = av.AudioResampler(format="fltp", layout="mono", rate=self.clip.sample_rate_hz)
        if self.video is not None:
            # Files are decoded in parallel: one thread each is better per core.
            self.video.codec_context.thread_count = 1
            self.video.codec_context.thread_type = "NONE"

    def promised_duration_s(self) -> float:
        """Duration by the container's word, 0 when it gives none."""
        return float(self.container.duration or 0) / av.time_base

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
            self.audio_parts.extend((block.time, _samples(block)) for block in self.resampler.resample(None))

    def _take_video(self, frame: Any) -> None:
        if frame.time is None or (self.times_s and frame.time <= self.times_s[-1]):
            self.corrupt_frames += 1
            return
        self.corrupt_frames += bool(frame.is_corrupt)
        if self.scaler is None or not self.scaler.fits(frame):
            self.scaler = _Scaler(frame, self.clip)
        picture_HWC, small_HW = self.scaler(frame)
        self.frames.append(picture_HWC)
        self.smalls.append(small_HW)
        self.times_s.append(frame.time)
        if not self.stills or frame.time - self.stills[-1].time_s >= STILL_INTERVAL_S:
            luma_HW = _luma(frame)
            scale = min(1.0, STILL_MAX_HEIGHT / luma_HW.shape[0])
            size = (round(luma_HW.shape[1] * scale), round(luma_HW.shape[0] * scale))
            still = luma_HW.copy() if scale == 1.0 else cv2.resize(luma_HW, size, interpolation=cv2.INTER_AREA)
            self.stills.append(Still(frame.time, still))

    def _take_audio(self, frame: Any) -> None:
        self.audio_parts.extend((block.time, _samples(block)) for block in self.resampler.resample(frame))

    def result(self) -> DecodedSource:
        """What was decoded."""
        height, width, rate = self.clip.height, self.clip.width, self.clip.sample_rate_hz
        audio = _join_audio(self.audio_parts, rate)
        times_s = np.asarray(self.times_s)
        frame_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
        video_end_s = float(times_s[-1]) + frame_s if len(times_s) else 0.0
        context = self.video.codec_context if self.video is not None else None
        return DecodedSource(
            times_s=times_s,
            frames_THWC=np.stack(self.frames) if self.frames else np.zeros((0, height, width, 3), np.uint8),
            small_THW=np.stack(self.smalls) if self.smalls else np.zeros((0, SMALL_SIDE, SMALL_SIDE), np.uint8),
            stills=self.stills,
            audio=audio,
            sample_rate_hz=rate,
            has_video=self.video is not None,
            has_audio=self.audio is not None,
            width=context.width if context is not None else 0,
            height=context.height if context is not None else 0,
            packet_errors=self.packet_errors,
            corrupt_frames=self.corrupt_frames,
            duration_s=max(video_end_s, len(audio) / rate) if self.video is None else video_end_s,
        )


class _Scaler:
    """One pass of libswscale per frame: the clip's picture (turned upright, cropped to its aspect, RGB) and the small
    whole picture.
    """

    def __init__(self, frame: Any, clip: ClipConfig) -> None:
        self.form = _form(frame)
        aspect = f"{clip.width}/{clip.height}"
        self.graph = av.filter.Graph()
        source = self.graph.add_buffer(
            width=frame.width, height=frame.height, format=frame.format.name, time_base=frame.time_base
        )
        split = self.graph.add("split", "2")
        source.link_to(split)
        picture: list[tuple[str, str | None]] = [
            *_TURNS.get(round(frame.rotation), []),
            ("crop", f"w='min(iw,ih*{aspect})':h='min(ih,iw/({aspect}))':exact=1"),
            ("scale", f"{clip.width}:{clip.height}:flags=area+accurate_rnd"),
            ("format", "rgb24"),
        ]
        self.picture = self._chain(split, 0, picture)
        self.small = self._chain(split, 1, [("scale", f"{SMALL_SIDE}:{SMALL_SIDE}:flags=area"), ("format", "gray")])
        self.graph.configure()

    def _chain(self, split: Any, output: int, filters: list[tuple[str, str | None]]) -> Any:
        last, pad = split, output
        for name, arguments in [*filters, ("buffersink", None)]:
            node = self.graph.add(name, arguments)
            last.link_to(node, pad, 0)
            last, pad = node, 0
        return last

    def fits(self, frame: Any) -> bool:
        """Whether `frame` has the form this scaler was built for; a file may change its form midway."""
        return self.form == _form(frame)

    def __call__(self, frame: Any) -> tuple[npt.NDArray[np.uint8], Luma]:
        """One frame to uint8 [height, width, 3] and uint8 [64, 64]."""
        self.graph.push(frame)
        return self.picture.pull().to_ndarray(), self.small.pull().to_ndarray()


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


def _samples(block: Any) -> npt.NDArray[np.float32]:
    return block.to_ndarray().reshape(-1).astype(np.float32, copy=False)


def _join_audio(parts: list[tuple[float | None, npt.NDArray[np.float32]]], rate_hz: int) -> npt.NDArray[np.float32]:
    """Joins blocks so that sample 0 is time 0, and a gap in the track (over 50 ms) is silence, not a shift of what
    follows.
    """
    joined: list[npt.NDArray[np.float32]] = []
    position = 0
    for start_s, samples in parts:
        behind = round(start_s * rate_hz) - position if start_s is not None else 0
        if not joined and behind < 0:
            samples = samples[-behind:]
        elif behind > (0.05 * rate_hz if joined else 0):
            joined.append(np.zeros(behind, np.float32))
            position += behind
        joined.append(samples)
        position += len(samples)
    return np.concatenate(joined) if joined else np.zeros(0, np.float32)


def _reason_to_open(path: Path) -> Reason:
    """A file that begins like MP4 and cannot be opened lost its end; anything else never was media."""
    with path.open("rb") as file:
        head = file.read(12)
    return Reason.TRUNCATED if head[4:8] in ISO_MEDIA_BOXES else Reason.NOT_MEDIA


def _plain(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
