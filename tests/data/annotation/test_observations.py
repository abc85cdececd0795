"""What is measured in picture and sound, on drawn scenes of known kind."""

import numpy as np
import pytest

from nava.data.annotation.picture_observation import PictureKind, name_colour, observe_picture
from nava.data.annotation.sound_observation import SoundKind, observe_sound
from tests.data.curation.conftest import RATE_HZ, decay, draw_flash, draw_room

CLOCK = np.arange(33_280) / RATE_HZ
EVENTS = [0.2, 0.75, 1.2, 1.8]
NOISE = np.random.default_rng(0).normal(0, 8e-4, 33_280)


def hear(audio):
    return observe_sound((audio + NOISE).astype(np.float32), RATE_HZ)


def sine(hz):
    return np.sin(2 * np.pi * hz * CLOCK)


def test_one_short_word_in_a_pause_is_no_knock():
    word = np.where((CLOCK > 0.8) & (CLOCK < 1.15), np.sin(np.pi * (CLOCK - 0.8) / 0.35), 0.0)
    assert hear(word * voice(120) / 0.25).kind is SoundKind.VOICE


def voice(hz):
    """Harmonics under a formant, in syllables, with breath."""
    buzz = sum(sine(hz * k) / k for k in range(1, 18))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * CLOCK + 0.4), 0, 1) ** 0.5
    breath = np.random.default_rng(1).normal(0, 0.06, len(CLOCK))
    return 0.25 * syllables * (buzz + breath)


@pytest.mark.parametrize(("hz", "word"), [(300, "low"), (720, "middle"), (1700, "high")])
def test_struck_tones_and_their_pitch(hz, word):
    sound = hear(0.5 * decay(CLOCK, EVENTS, 9.0) * sine(hz))
    assert (sound.kind, sound.pitch) == (SoundKind.STRUCK_TONE, word)
    assert sound.frequency_hz == pytest.approx(hz, abs=16)
    assert sound.onsets == len(EVENTS)


@pytest.mark.parametrize(("partials", "below_1000"), [((330, 520), True), ((1900, 3100), False)])
def test_knocks_of_wood_and_metal(partials, below_1000):
    sound = hear(0.35 * decay(CLOCK, EVENTS, 22.0) * sum(map(sine, partials)))
    assert sound.kind is SoundKind.KNOCK
    assert (sound.frequency_hz < 1000) is below_1000


def test_a_steady_tone_a_rush_and_silence():
    assert hear(0.25 * sine(720)).kind is SoundKind.STEADY_TONE
    assert hear(np.random.default_rng(2).normal(0, 0.05, 33_280)).kind is SoundKind.NOISE
    assert observe_sound(NOISE[:33_280].astype(np.float32) * 0.1, RATE_HZ).kind is SoundKind.SILENCE
    assert observe_sound(np.zeros(0, np.float32), RATE_HZ).kind is SoundKind.SILENCE


def test_a_tune_has_notes_of_several_pitches():
    notes = [220, 277, 330, 440, 277]
    tune = sum(
        0.2 * np.where(start <= CLOCK, np.exp(-6 * (CLOCK - start)), 0) * (sine(hz) + sine(2 * hz) + sine(3 * hz))
        for start, hz in zip(np.arange(0.05, 2, 0.4), notes, strict=True)
    )
    assert hear(tune).kind is SoundKind.TUNE


@pytest.mark.parametrize(("hz", "word"), [(110, "low"), (230, "high")])
def test_voices_and_their_fundamental(hz, word):
    sound = hear(voice(hz))
    assert (sound.kind, sound.pitch) == (SoundKind.VOICE, word)
    assert sound.frequency_hz == pytest.approx(hz, rel=0.05)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize(
    ("colour", "word"),
    [((240, 40, 40), "red"), ((40, 225, 50), "green"), ((60, 100, 245), "blue"), ((240, 215, 30), "yellow")],
)
def test_a_flash_its_colour_and_its_side(colour, word, side):
    frames, _ = draw_flash(seconds=49 / 24, colour=colour, side=side)
    seen = observe_picture(frames)
    assert (seen.kind, seen.colour, seen.side) == (PictureKind.FLASH, word, side)


def test_a_bouncing_ball_moves():
    film = draw_room(1, 49).copy() // 3
    rows, columns = np.ogrid[:64, :64]
    for number, picture in enumerate(film):
        phase = number / 24 / 0.55 % 1
        height = 34 * 4 * phase * (1 - phase)
        picture[(rows - 48 + height) ** 2 + (columns - 32) ** 2 < 81] = (240, 215, 30)
    seen = observe_picture(film)
    assert (seen.kind, seen.colour) == (PictureKind.MOVING, "yellow")


def test_one_mouth_and_two():
    one, two = (draw_faces(places) for places in ([32], [16, 48]))
    assert observe_picture(one).kind is PictureKind.MOUTH
    assert observe_picture(one).colour == "green"
    assert observe_picture(two).kind is PictureKind.MOUTHS


def draw_faces(places):
    film = np.full((49, 64, 64, 3), 60, np.uint8)
    rows, columns = np.ogrid[:64, :64]
    for number, picture in enumerate(film):
        for which, x in enumerate(places):
            size = 26 if len(places) == 1 else 15
            opening = abs(np.sin(number * 0.7)) if number // 24 % len(places) == which else 0.0
            picture[((rows - 32) / size) ** 2 + ((columns - x) / (0.8 * size)) ** 2 < 1] = (112, 214, 118)
            mouth = ((rows - 32 - 0.4 * size) / (1 + 0.3 * size * opening)) ** 2 + (
                (columns - x) / (0.35 * size)
            ) ** 2 < 1
            picture[mouth] = (25, 10, 18)
    return film


def test_columns_that_take_turns():
    film = np.full((49, 64, 64, 3), 40, np.uint8)
    for number, picture in enumerate(film):
        for column in range(4):
            level = 0.12 + 0.85 * np.exp(-0.25 * ((number - 5 * column) % 23))
            picture[int(56 - 44 * level) : 56, 6 + 14 * column : 13 + 14 * column] = (60, 100, 245)
    seen = observe_picture(film)
    assert (seen.kind, seen.colour) == (PictureKind.COLUMNS, "blue")


def test_streaks_all_over():
    rng = np.random.default_rng(3)
    film = np.full((49, 64, 64, 3), 45, np.uint8)
    x, y, speed = rng.integers(0, 64, 60), rng.integers(0, 64, 60), rng.uniform(3, 6, 60)
    for number, picture in enumerate(film):
        for length in range(5):
            picture[(y + number * speed + length).astype(int) % 64, x] = (150, 165, 190)
    assert observe_picture(film).kind is PictureKind.STREAKS


def test_a_still_picture():
    assert observe_picture(draw_room(0, 49)).kind is PictureKind.STILL


@pytest.mark.parametrize(
    ("rgb", "word"),
    [
        ((200, 10, 12), "red"),
        ((20, 5, 5), "red"),
        ((220, 120, 20), "orange"),
        ((30, 180, 180), "cyan"),
        ((120, 40, 200), "purple"),
        ((220, 40, 150), "pink"),
        ((90, 90, 90), ""),
        ((0, 0, 0), ""),
        ((-5, -10, -5), ""),
    ],
)
def test_colours_have_names_and_grey_has_none(rgb, word):
    assert name_colour(np.array(rgb, float)) == word
