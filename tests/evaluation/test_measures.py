import json

import numpy as np
import pytest

from nava.evaluation.measures import Measures, measure, picture_grain

RATE, FPS = 16_000, 24


def clip(seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 255, size=(49, 8, 8, 3)).astype(np.uint8), 0.1 * rng.normal(size=33_280).astype(np.float32)


def test_tracks_have_one_value_per_frame():
    measures = measure(*clip(), RATE, FPS)
    assert len(measures.brightness) == len(measures.motion) == len(measures.envelope) == 49


def test_measures_survive_json_unchanged():
    measures = measure(*clip(), RATE, FPS)
    assert Measures.from_dict(json.loads(json.dumps(measures.to_dict()))) == measures


def test_a_still_silent_clip_has_neither_colour_nor_pitch():
    measures = measure(np.full((49, 8, 8, 3), 40, np.uint8), np.zeros(33_280, np.float32), RATE, FPS)
    assert measures.colour_rgb is None
    assert measures.frequency_hz is None
    assert measures.grain == 0.0
    assert Measures.from_dict(json.loads(json.dumps(measures.to_dict()))) == measures


def test_the_scored_family_is_followed_by_brightness_and_the_others_by_motion():
    measures = measure(*clip(), RATE, FPS)
    np.testing.assert_array_equal(measures.visual(scored=True), measures.brightness)
    np.testing.assert_array_equal(measures.visual(scored=False), measures.motion)


def test_grain_is_the_flicker_of_what_stands_still():
    video = np.full((49, 10, 10, 3), 100, np.uint8)
    video[::2] += 6
    assert picture_grain(video) == pytest.approx(6.0)


def test_a_flash_on_less_than_half_of_the_picture_is_no_grain():
    video = np.full((49, 10, 10, 3), 100, np.uint8)
    video[::2, :, :4] = 250
    assert picture_grain(video) == 0.0
    assert picture_grain(video[:1]) == 0.0
