"""Unusual forms are what they are called, and show the same film."""

from fractions import Fraction

import av
import numpy as np
import pytest

from nava.data.synthetic.case_plan import FORMS
from nava.data.synthetic.encodings import write_form
from nava.data.synthetic.files import Film, read_film
from nava.data.synthetic.labels import FileLabel, ShotLabel

FPS, FRAMES = Fraction(30), 60


def film(width=96, height=64):
    """A bright square that walks from left to right, on dark ground."""
    frames = np.full((FRAMES, height, width, 3), 30, np.uint8)
    for number, frame in enumerate(frames):
        frame[10:26, number : number + 16] = 220
    tone = 0.3 * np.sin(np.arange(2 * 48_000) / 15, dtype=np.float32)[None]
    return Film(frames, FPS, tone, 48_000)


def label():
    shots = [ShotLabel("talk", 0.0, 1.0, 0, 30), ShotLabel("impact", 1.0, 2.0, 30, 60)]
    return FileLabel("video/c0000.mp4", "video", frames=FRAMES, channels=1, shots=shots)


def written(tmp_path, form, **size):
    path, truth = tmp_path / f"film.{form if form in ('mov', 'mkv', 'webm') else 'mp4'}", label()
    write_form(path, film(**size), form, truth, np.random.default_rng(0))
    return path, truth


def places(frames_THWC):
    """Left edge of the square in every frame."""
    bright = frames_THWC.mean(axis=3).max(axis=1) > 125
    return bright.argmax(axis=1)


@pytest.mark.parametrize("form", FORMS)
def test_the_bytes_of_every_form_repeat(tmp_path, form):
    (tmp_path / "again").mkdir()
    assert written(tmp_path, form)[0].read_bytes() == written(tmp_path / "again", form)[0].read_bytes()


@pytest.mark.parametrize("form", ["surround", "long_gop", "mov", "mkv", "webm"])
def test_the_picture_is_the_same_in_every_container(tmp_path, form):
    path, truth = written(tmp_path, form)
    decoded = read_film(path)
    assert decoded.frames_THWC.shape == (FRAMES, 64, 96, 3)
    assert np.abs(places(decoded.frames_THWC) - np.arange(FRAMES)).max() <= 2
    assert len(decoded.audio_CL) == truth.channels


@pytest.mark.parametrize(("form", "name"), [("mkv", "matroska"), ("webm", "matroska"), ("mov", "mov")])
def test_containers_and_codecs(tmp_path, form, name):
    with av.open(str(written(tmp_path, form)[0])) as container:
        assert name in container.format.name
        codecs = container.streams.video[0].codec_context.name, container.streams.audio[0].codec_context.name
    assert codecs[0] in (("vp9", "libvpx-vp9") if form == "webm" else ("h264",))
    assert ("opus" if form == "webm" else "aac") in codecs[1]


def test_a_variable_rate_keeps_the_times_of_what_it_keeps(tmp_path):
    path, truth = written(tmp_path, "variable_rate")
    with av.open(str(path)) as container:
        shown = [(frame.time, frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)]
    times = np.array([time for time, _ in shown])
    steps = np.diff(times)
    assert truth.frames == len(shown) < FRAMES
    assert steps.max() > 1.5 * steps.min()
    squares = places(np.stack([picture for _, picture in shown]))
    assert np.abs(squares - times * float(FPS)).max() <= 2
    for shot in truth.shots:
        assert times[shot.start_frame] == pytest.approx(shot.start_s, abs=1e-4)
    assert truth.shots[0].end_frame == truth.shots[1].start_frame
    assert truth.shots[1].end_frame == truth.frames


def test_a_rotated_film_is_stored_lying_and_says_how_to_turn_it(tmp_path):
    path, _ = written(tmp_path, "rotated")
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        assert (frame.width, frame.height) == (64, 96)
        assert frame.rotation % 360 == 270
        upright = np.rot90(frame.to_ndarray(format="rgb24"), k=frame.rotation // 90)
    assert np.abs(upright.astype(int) - film().frames_THWC[0]).mean() < 4


def test_an_odd_size_stays_odd(tmp_path):
    decoded = read_film(written(tmp_path, "odd_size", width=97, height=63)[0])
    assert decoded.frames_THWC.shape[1:3] == (63, 97)


def test_surround_has_the_sound_in_the_centre(tmp_path):
    path, truth = written(tmp_path, "surround")
    with av.open(str(path)) as container:
        assert container.streams.audio[0].layout.name.startswith("5.1")
        frames = [frame.to_ndarray() for frame in container.decode(audio=0)]
    power = (np.concatenate(frames, axis=1) ** 2).mean(axis=1)
    assert truth.channels == len(power) == 6
    assert power.argmax() == 2
    assert power[2] > 10 * power[0]


def test_a_long_gop_has_one_key_frame(tmp_path):
    with av.open(str(written(tmp_path, "long_gop")[0])) as container:
        keys = sum(packet.is_keyframe for packet in container.demux(video=0) if packet.size)
    assert keys == 1
