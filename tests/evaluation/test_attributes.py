import numpy as np
import pytest

from nava.evaluation.attributes import dominant_frequency_hz, flash_colour, nearest_hue, nearest_pitch

RATE = 16_000
COLOURS = {"red": (220, 50, 40), "green": (50, 200, 60), "blue": (50, 90, 230), "yellow": (230, 210, 50)}
PITCHES = {"low": 300.0, "middle": 720.0, "high": 1700.0}


def flashing_bar(rgb, grain=0.0, background=(30, 20, 60)):
    """49 frames of a dark gradient with a bar that flashes twice."""
    rng = np.random.default_rng(3)
    frames = np.ones((49, 64, 64, 3)) * np.linspace(0.5, 1.0, 64)[None, None, :, None] * np.array(background)
    level = np.maximum(np.exp(-np.arange(49) / 4), np.where(np.arange(49) >= 20, np.exp(-(np.arange(49) - 20) / 4), 0))
    frames[:, 10:54, 8:24] = (0.12 + 0.88 * level)[:, None, None, None] * np.array(rgb)
    return np.clip(frames + grain * rng.normal(size=frames.shape), 0, 255).astype(np.uint8)


def tone(frequency, noise=0.0):
    t = np.arange(33_280) / RATE
    events = np.maximum(np.exp(-9 * t), np.where(t >= 1.0, np.exp(-9 * (t - 1.0)), 0))
    return 0.4 * events * np.sin(2 * np.pi * frequency * t) + noise * np.random.default_rng(0).normal(size=t.size)


@pytest.mark.parametrize("word", COLOURS)
@pytest.mark.parametrize("grain", [0.0, 25.0])
def test_the_colour_of_a_drawn_flash_is_recognised(word, grain):
    assert nearest_hue(flash_colour(flashing_bar(COLOURS[word], grain)), COLOURS) == word


def test_a_constant_background_of_another_colour_does_not_count():
    assert nearest_hue(flash_colour(flashing_bar(COLOURS["red"], background=(0, 0, 140))), COLOURS) == "red"


def test_a_still_picture_has_no_flash_colour():
    assert flash_colour(np.full((49, 8, 8, 3), 77, np.uint8)) is None


def test_brightness_does_not_change_the_hue():
    assert nearest_hue(np.array([11.0, 2.5, 2.0]), COLOURS) == "red"
    assert nearest_hue(np.array([5.0, 5.0, 5.0]) + np.array([0.0, 0.2, 0.0]), COLOURS) == "green"


@pytest.mark.parametrize(("word", "frequency"), PITCHES.items())
@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_the_pitch_of_a_tone_is_recognised(word, frequency, noise):
    found = dominant_frequency_hz(tone(frequency, noise), RATE)
    assert found == pytest.approx(frequency, abs=RATE / 2048)
    assert nearest_pitch(found, PITCHES) == word


def test_a_hum_below_the_range_is_not_the_pitch():
    hum = 0.8 * np.sin(2 * np.pi * 50 * np.arange(33_280) / RATE)
    assert dominant_frequency_hz(tone(720.0) + hum, RATE) == pytest.approx(720, abs=10)


def test_silence_has_no_frequency():
    assert dominant_frequency_hz(np.zeros(33_280), RATE) is None


def test_audio_shorter_than_a_window_is_measured():
    assert dominant_frequency_hz(tone(720.0)[:1000], RATE) == pytest.approx(720, abs=30)


@pytest.mark.parametrize(
    ("frequency", "word"), [(100, "low"), (460, "low"), (470, "middle"), (1100, "middle"), (1115, "high")]
)
def test_pitches_are_nearest_in_octaves(frequency, word):
    assert nearest_pitch(frequency, PITCHES) == word
