from fractions import Fraction

import av
import numpy as np
import pytest

from nava.data.synthetic.drawing import Stage
from nava.data.synthetic.files import Film, read_audio, read_film, write_audio, write_mp4
from nava.data.synthetic.plan import ShotPlan
from nava.data.synthetic.shots import render_shot

RATE = 48_000


def clicks(channels: int = 1, seconds: float = 1.0) -> np.ndarray:
    """Silence with a click at each 0.25 s."""
    audio = np.zeros((channels, round(seconds * RATE)), np.float32)
    for time in (0.25, 0.5, 0.75):
        audio[:, round(time * RATE) : round(time * RATE) + 48] = 0.8
    return audio


def make_film(fps: Fraction = Fraction(24), channels: int = 1) -> Film:
    """A square that flashes up in frame 6, with clicks."""
    frames = np.full((24, 64, 96, 3), 30, np.uint8)
    frames[6, 16:48, 32:64] = 220
    return Film(frames, fps, clicks(channels), RATE)


@pytest.mark.parametrize("fps", [Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30)])
def test_a_film_comes_back_with_its_rate_and_every_frame_in_place(tmp_path, fps):
    write_mp4(tmp_path / "a.mp4", make_film(fps))
    film = read_film(tmp_path / "a.mp4")
    assert film.fps == fps
    assert film.frames_THWC.shape == (24, 64, 96, 3)
    assert np.argmax(film.frames_THWC[:, 32, 48].sum(axis=1)) == 6
    with av.open(str(tmp_path / "a.mp4")) as container:
        times = [frame.pts * frame.time_base for frame in container.decode(video=0)]
    assert times == [i / fps for i in range(24)]


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_comes_back_in_place(tmp_path, channels):
    write_mp4(tmp_path / "a.mp4", make_film(channels=channels))
    audio = read_film(tmp_path / "a.mp4").audio_CL
    assert audio.shape == (channels, RATE)
    for time in (0.25, 0.5, 0.75):
        onset = np.flatnonzero(np.abs(audio[0, round(time * RATE) - 480 :]) > 0.4)[0] - 480
        assert abs(onset) < 24


def test_it_is_h264_and_aac_in_planar_colour(tmp_path):
    write_mp4(tmp_path / "a.mp4", make_film())
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        assert container.streams.video[0].codec_context.pix_fmt == "yuv420p"
        assert container.streams.audio[0].codec_context.name == "aac"


def test_the_same_film_gives_the_same_bytes_without_time_or_place(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    write_mp4(tmp_path / "a.mp4", make_film())
    write_mp4(tmp_path / "elsewhere" / "b.mp4", make_film())
    first, second = (tmp_path / "a.mp4").read_bytes(), (tmp_path / "elsewhere" / "b.mp4").read_bytes()
    assert first == second
    assert b"Lavf" not in first
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert "creation_time" not in container.metadata


def test_a_film_without_sound_has_no_audio_track(tmp_path):
    film = make_film()
    write_mp4(tmp_path / "a.mp4", Film(film.frames_THWC, film.fps, None, 0))
    assert read_film(tmp_path / "a.mp4").audio_CL is None
    assert read_audio(tmp_path / "a.mp4") == (None, 0)


def test_a_front_index_stands_before_the_media(tmp_path):
    write_mp4(tmp_path / "back.mp4", make_film())
    write_mp4(tmp_path / "front.mp4", make_film(), front_index=True)
    back, front = (tmp_path / "back.mp4").read_bytes(), (tmp_path / "front.mp4").read_bytes()
    assert back.index(b"mdat") < back.index(b"moov")
    assert front.index(b"moov") < front.index(b"mdat")


def test_a_higher_crf_is_smaller(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (8, 64, 96, 3), dtype=np.uint8)
    film = Film(noise, Fraction(24), None, 0)
    write_mp4(tmp_path / "fine.mp4", film, crf=20)
    write_mp4(tmp_path / "coarse.mp4", film, crf=40)
    assert (tmp_path / "coarse.mp4").stat().st_size < (tmp_path / "fine.mp4").stat().st_size / 2


@pytest.mark.parametrize("seed", range(4))
def test_the_bytes_do_not_depend_on_what_memory_held_before(tmp_path, seed):
    """Without exact arithmetic x264 gives other bytes on an AVX-512 machine for three of these four films."""
    plan = ShotPlan("rain", "red", "left", 300, 4.4)
    rain = render_shot(Stage(64, 64, Fraction(30), 32_000), plan, np.random.default_rng(seed)).frames_THWC
    film, contents = Film(rain, Fraction(30), None, 0), set()
    for attempt in range(5):
        write_mp4(tmp_path / "a.mp4", film)
        contents.add((tmp_path / "a.mp4").read_bytes())
        scratch = [np.random.default_rng(attempt).standard_normal(10_003 + 977 * attempt) for _ in range(30)]
        assert len(scratch) == 30
    assert len(contents) == 1


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3"])
@pytest.mark.parametrize("channels", [1, 2])
def test_audio_files_come_back(tmp_path, suffix, channels):
    path = tmp_path / f"a.{suffix}"
    write_audio(path, clicks(channels), RATE)
    audio, rate = read_audio(path)
    assert rate == RATE
    assert audio.shape[0] == channels
    assert abs(audio.shape[1] - RATE) <= (0 if suffix != "mp3" else 1200)
    assert np.corrcoef(audio[0, :40_000], clicks()[0, :40_000])[0, 1] > (0.999 if suffix != "mp3" else 0.8)


def test_a_sample_beyond_full_scale_is_clipped_not_wrapped(tmp_path):
    write_audio(tmp_path / "a.wav", np.full((1, 100), 1.5, np.float32), RATE)
    assert read_audio(tmp_path / "a.wav")[0].min() > 0.99
