"""Scores of picture and sound."""

import cv2
import numpy as np
import pytest

from nava.config.curation import FilterConfig
from nava.data.curation.decoding import Still
from nava.data.curation.scores import MIN_LEVEL_DB, PictureStage, SoundStage, to_luma
from nava.data.curation.windows import Window
from tests.data.curation.conftest import RATE_HZ, draw_flash, draw_room

SOUND = SoundStage(FilterConfig())
CLOCK = np.arange(33_280) / RATE_HZ
TONE = np.sin(2 * np.pi * 440 * CLOCK).astype(np.float32)


def picture(frames_THWC, stills=()):
    return PictureStage().process(Window(0, 0.0, 2.0, frames_THWC, TONE), list(stills))


def still_of(seed, blur=0):
    luma = draw_room(seed, 1, (128, 128))[0][..., 0]
    return Still(0.0, cv2.GaussianBlur(luma, (0, 0), blur) if blur else luma)


def test_a_frozen_picture_is_static_and_a_flash_is_not():
    frozen = picture(draw_room(0, 49))
    assert (frozen.static_ratio, frozen.motion) == (1.0, 0.0)
    frames, _ = draw_flash(seconds=49 / 24)
    assert picture(frames).static_ratio < 0.9


def test_noise_of_the_encoder_is_no_movement():
    rng = np.random.default_rng(0)
    grain = draw_room(0, 49).astype(int) + rng.integers(-3, 4, (49, 64, 64, 3))
    assert picture(grain.clip(0, 255).astype(np.uint8)).static_ratio == 1.0


def test_a_thing_that_only_differs_in_colour_moves():
    frames = np.full((49, 64, 64, 3), (60, 60, 60), np.uint8)
    for number, frame in enumerate(frames):
        frame[20:30, number : number + 8] = (118, 35, 37)  # the same luma
    assert np.ptp(to_luma(frames)) < 2
    assert picture(frames).static_ratio == 0.0


def test_blur_lowers_sharpness():
    sharp, blurred = picture(draw_room(0, 49), [still_of(0)]), picture(draw_room(0, 49), [still_of(0, blur=6)])
    assert sharp.sharpness > 10 * blurred.sharpness


def test_one_sharp_still_is_enough():
    both = picture(draw_room(0, 49), [still_of(0, blur=6), still_of(0)])
    assert both.sharpness == picture(draw_room(0, 49), [still_of(0)]).sharpness


def test_without_stills_sharpness_is_not_measured():
    assert picture(draw_room(0, 49)).sharpness is None


@pytest.mark.parametrize("gain_db", [0, -20, -40])
def test_loudness_follows_the_gain(gain_db):
    scores = SOUND.process(TONE * 10 ** (gain_db / 20), RATE_HZ)
    assert scores.lufs == pytest.approx(-3.0 + gain_db, abs=1.5)
    assert scores.peak_db == pytest.approx(gain_db, abs=0.1)
    assert scores.silence_ratio == 0.0


def test_silence_has_finite_scores():
    scores = SOUND.process(np.zeros(33_280, np.float32), RATE_HZ)
    assert scores.lufs == scores.peak_db == MIN_LEVEL_DB
    assert scores.silence_ratio == 1.0
    assert scores.clip_ratio == 0.0


def test_sound_too_short_for_the_meter_is_scored_as_silent_not_refused():
    assert SOUND.process(TONE[: int(0.3 * RATE_HZ)], RATE_HZ).lufs == MIN_LEVEL_DB
    assert SOUND.process(TONE[:0], RATE_HZ).silence_ratio == 1.0


def test_clipping_and_silence_are_shares():
    clipped = SOUND.process(np.clip(3 * TONE, -1, 1), RATE_HZ)
    assert 0.5 < clipped.clip_ratio < 0.9
    half = TONE.copy()
    half[: len(half) // 2] = 0
    assert SOUND.process(half, RATE_HZ).silence_ratio == pytest.approx(0.5, abs=0.02)
