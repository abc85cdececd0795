"""Sound films of unusual form: containers, codecs and headers that curation must take as they are."""

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from nava.data.synthetic.files import BIT_EXACT, Film, encode_audio
from nava.data.synthetic.labels import FileLabel

_TICKS_PER_S = 90_000
_KEPT_SHARE = 0.7  # of the frames of a film with a variable rate
_X264 = {"preset": "veryfast", "crf": "20", "threads": "1", "x264-params": "cpu-independent=1"}
_VP9 = {"deadline": "realtime", "cpu-used": "8", "crf": "24", "b": "0", "threads": "1"}
# Of a display matrix (ISO 14496-12, 6.2.2) that turns the stored picture by 90 degrees clockwise.
_TURNED = b"".join(
    int(value).to_bytes(4, "big", signed=True) for value in (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
)
_UPRIGHT = b"".join(int(value).to_bytes(4, "big") for value in (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30))


@dataclass(frozen=True)
class Encoding:
    """How a film is written."""

    container: str = "mp4"
    video_codec: str = "libx264"
    audio_codec: str = "aac"
    pixel_format: str = "yuv420p"
    options: tuple[tuple[str, str], ...] = tuple(_X264.items())


ENCODINGS = {
    "odd_size": Encoding(pixel_format="yuv444p"),
    "long_gop": Encoding(options=(*_X264.items(), ("g", "100000"), ("sc_threshold", "0"))),
    "mov": Encoding(container="mov"),
    "mkv": Encoding(container="matroska"),
    "webm": Encoding("webm", "libvpx-vp9", "libopus", options=tuple(_VP9.items())),
}


def write_form(path: Path, film: Film, form: str, label: FileLabel, rng: np.random.Generator) -> None:
    """Write a film in one of the forms of `case_plan.FORMS`, and correct its label where the form changes it."""
    ticks: NDArray[np.int64] = np.arange(len(film.frames_THWC))
    time_base = 1 / film.fps
    if form == "variable_rate":
        kept = _drop_frames(label, rng)
        film, time_base = replace(film, frames_THWC=film.frames_THWC[kept]), Fraction(1, _TICKS_PER_S)
        ticks = np.array([round(int(number) / film.fps * _TICKS_PER_S) for number in kept])
    elif form == "rotated":
        film = replace(film, frames_THWC=np.rot90(film.frames_THWC, axes=(1, 2)))
    elif form == "surround":
        film = replace(film, audio_CL=_surround(film, rng))
        label.channels = 6
    _write(path, film, ENCODINGS.get(form, Encoding()), ticks, time_base)
    if form == "rotated":
        data = path.read_bytes()
        track = data.index(b"tkhd")  # of the picture: it was added first
        path.write_bytes(data[:track] + data[track:].replace(_UPRIGHT, _TURNED, 1))


def _drop_frames(label: FileLabel, rng: np.random.Generator) -> NDArray[np.int64]:
    """The frames a recorder under load keeps: the first of each shot, and most of the others."""
    kept_T = rng.uniform(size=label.frames) < _KEPT_SHARE
    kept_T[[0, -1, *(shot.start_frame for shot in label.shots)]] = True
    before_T = np.concatenate([[0], np.cumsum(kept_T)])
    for shot in label.shots:
        shot.start_frame, shot.end_frame = int(before_T[shot.start_frame]), int(before_T[shot.end_frame])
    label.frames = int(kept_T.sum())
    return np.flatnonzero(kept_T)


def _surround(film: Film, rng: np.random.Generator) -> NDArray[np.float32]:
    """5.1: front left, front right, centre, low frequencies, two at the back; what is heard comes from the centre."""
    assert film.audio_CL is not None
    centre_L = film.audio_CL.mean(axis=0)
    air_CL = rng.standard_normal((6, len(centre_L)), dtype=np.float32) * np.float32(0.0005)
    weights = np.array([0.25, 0.25, 1.0, 0.0, 0.1, 0.1], np.float32)
    return np.asarray(air_CL + weights[:, None] * centre_L, dtype=np.float32)


def _write(path: Path, film: Film, encoding: Encoding, ticks: NDArray[np.int64], time_base: Fraction) -> None:
    with av.open(str(path), "w", format=encoding.container, options=BIT_EXACT) as container:
        video: Any = container.add_stream(encoding.video_codec, rate=film.fps, options=dict(encoding.options))
        _, video.height, video.width, _ = film.frames_THWC.shape
        video.pix_fmt, video.codec_context.time_base = encoding.pixel_format, time_base
        video.codec_context.flags |= av.codec.context.Flags.bitexact
        assert film.audio_CL is not None
        layout = {1: "mono", 2: "stereo", 6: "5.1"}[len(film.audio_CL)]
        coder = {"aac_coder": "fast"} if encoding.audio_codec == "aac" else {}
        audio: Any = container.add_stream(encoding.audio_codec, rate=film.sample_rate_hz, layout=layout, options=coder)
        audio.bit_rate = 48_000 * (1 + len(film.audio_CL))
        audio.codec_context.flags |= av.codec.context.Flags.bitexact
        for frame_HWC, tick in zip(film.frames_THWC, ticks, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame_HWC), format="rgb24")
            frame.pts, frame.time_base = int(tick), time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        sample_format = "flt" if encoding.audio_codec == "libopus" else "fltp"
        encode_audio(container, audio, film.audio_CL, film.sample_rate_hz, sample_format)
