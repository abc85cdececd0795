"""Tiny media made with PyAV, as people would upload them."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from nava.runtime.step import Step

RATE_HZ = 16_000


def write_media(path, frames_THWC=None, audio=None, fps=24, rate_hz=RATE_HZ, faststart=False):
    """Writes H.264 and AAC (or what the suffix wants for sound alone); either may be absent."""
    codecs = {".wav": "pcm_s16le", ".flac": "flac", ".mp3": "libmp3lame"}
    path.parent.mkdir(parents=True, exist_ok=True)
    options = {"movflags": "+faststart"} if faststart else {}
    with av.open(str(path), "w", options=options) as container:
        video = sound = None
        if frames_THWC is not None:
            video = container.add_stream("libx264", rate=Fraction(fps), options={"crf": "12", "preset": "ultrafast"})
            video.height, video.width = frames_THWC.shape[1:3]
            video.pix_fmt = "yuv420p"
        if audio is not None:
            sound = container.add_stream(codecs.get(path.suffix, "aac"), rate=rate_hz, layout="mono")
        for picture in frames_THWC if frames_THWC is not None else []:
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        if sound is not None:
            wave = (np.clip(audio, -1, 1) * 32767).astype(np.int16)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = rate_hz, 0, Fraction(1, rate_hz)
            resampler = av.AudioResampler(sound.format, "mono", rate_hz, frame_size=sound.frame_size or 1024)
            for block in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(sound.encode(block))
        for stream in (video, sound):
            if stream is not None:
                container.mux(stream.encode())
    return path


def draw_flash(
    seconds=2.3,
    fps=24,
    size=(64, 64),
    colour=(230, 40, 40),
    side="left",
    tone_hz=720.0,
    late_s=0.0,
    seed=0,
    events=None,
):
    """A bar that lights up and a tone that starts, both at each event; the sound comes `late_s` late."""
    rng = np.random.default_rng(seed)
    height, width = size
    if events is None:
        events = np.cumsum(rng.uniform(0.3, 0.7, 12)) - 0.1
    events = np.asarray([event for event in events if event < seconds - 0.1])
    times = np.arange(round(seconds * fps)) / fps
    frames = np.broadcast_to(rng.uniform(15, 45, (1, 1, 1, 3)), (len(times), height, width, 3)).copy()
    left = width // 8 if side == "left" else width // 2 + width // 8
    rows, columns = slice(height // 4, height * 7 // 8), slice(left, left + width // 4)
    glow = 0.12 + 0.88 * decay(times, events, 6.0)
    frames[:, rows, columns] = glow[:, None, None, None] * np.array(colour)
    clock = np.arange(round(seconds * RATE_HZ)) / RATE_HZ - late_s
    audio = 0.5 * decay(clock, events, 9.0) * np.sin(2 * np.pi * tone_hz * clock)
    audio = audio + rng.normal(0, 8e-4, len(clock))
    return frames.round().clip(0, 255).astype(np.uint8), audio.astype(np.float32)


def decay(times, events, rate_per_s):
    """The most recent event's exponential decay at each time."""
    since = times[:, None] - np.asarray(events)
    return np.where(since >= 0, np.exp(-rate_per_s * np.clip(since, 0, None)), 0.0).max(axis=1, initial=0.0)


def draw_room(seed, n_frames, size=(64, 64)):
    """A still picture of random panels: two seeds differ everywhere."""
    rng = np.random.default_rng(seed)
    picture = np.kron(rng.integers(30, 220, (8, 8, 3)), np.ones((size[0] // 8, size[1] // 8, 1)))
    return np.repeat(picture[None].astype(np.uint8), n_frames, axis=0)


@pytest.fixture
def make_step(tmp_path):
    """A step with the default configuration; `sections` overrides values by section."""

    def make(name="curate", folder: Path = tmp_path / "run", **sections):
        defaults = {"curation": {}, "validation": {}, "corpus": {}}
        step = Step(name, folder, "run", {**defaults, **sections}, seed=0, key="k" * 64)
        step.workdir = folder / "steps" / name
        step.workdir.mkdir(parents=True, exist_ok=True)
        return step

    return make
