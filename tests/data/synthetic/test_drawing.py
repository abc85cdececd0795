from fractions import Fraction

import numpy as np
import pytest

from nava.data.synthetic.drawing import (
    COLOURS,
    Stage,
    dark_gradient,
    hash_distance,
    landscape,
    paint_ellipse,
    perceptual_hash,
    rgb,
    room,
    still,
)

LANDSCAPE = Stage(192, 128, Fraction(24), 48_000)
PORTRAIT = Stage(144, 256, Fraction(30000, 1001), 44_100)


@pytest.mark.parametrize("stage", [LANDSCAPE, PORTRAIT])
def test_boxes_are_shares_of_the_central_square(stage):
    rows, columns = stage.box(0.0, 0.0, 1.0, 1.0)
    assert rows.stop - rows.start == columns.stop - columns.start == min(stage.width, stage.height)
    assert rows.start == stage.height - rows.stop
    assert columns.start == stage.width - columns.stop


def test_a_duration_gets_enough_frames_and_not_one_too_many():
    assert LANDSCAPE.frame_count(2.0) == 48
    assert LANDSCAPE.frame_count(2.01) == 49
    assert PORTRAIT.frame_count(1001 / 30000 * 60) == 60


def test_frame_times_keep_the_exact_rate():
    assert PORTRAIT.frame_times(30_001)[-1] == pytest.approx(1001.0)


def test_still_gives_a_film_of_its_own():
    background = np.full((4, 6, 3), 300.0, np.float32)
    film = still(background, 3)
    assert film.shape == (3, 4, 6, 3)
    assert film.dtype == np.uint8
    assert (film == 255).all()
    film[0] = 0
    assert (film[1] == 255).all()


def test_gradients_are_dark_smooth_and_not_black():
    for seed in range(20):
        picture = dark_gradient(LANDSCAPE, np.random.default_rng(seed))
        assert picture.min() >= 4.0
        assert picture.max() <= 52.0
        assert np.abs(np.diff(picture, axis=0)).max() < 0.5


def test_rooms_differ_and_repeat_with_their_generator():
    first, again, other = (room(LANDSCAPE, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert np.abs(first - other).mean() > 5


def test_an_ellipse_covers_its_area_and_nothing_else():
    picture = np.zeros((60, 80, 3), np.uint8)
    paint_ellipse(picture, (40.0, 30.0), (20.0, 10.0), rgb("red"))
    assert tuple(picture[30, 40]) == COLOURS["red"]
    assert picture[..., 0].sum() / 240 == pytest.approx(np.pi * 20 * 10, rel=0.03)
    assert not picture[:18].any()
    assert not picture[:, :18].any()


@pytest.mark.parametrize("centre", [(-50.0, 5.0), (5.0, 200.0), (0.0, 0.0), (79.0, 59.0)])
def test_an_ellipse_is_clipped_at_the_border(centre):
    picture = np.zeros((60, 80, 3), np.uint8)
    paint_ellipse(picture, centre, (6.0, 6.0), rgb("blue"))
    assert picture.any() == (-6 < centre[0] < 86 and -6 < centre[1] < 66)


def test_the_four_colours_are_far_apart_in_hue():
    unit = np.array([rgb(name) / np.linalg.norm(rgb(name)) for name in COLOURS])
    cosine = unit @ unit.T
    assert cosine[~np.eye(4, dtype=bool)].max() < 0.85


def test_the_hash_ignores_brightness_and_sees_structure():
    rng = np.random.default_rng(0)
    picture = np.clip(room(LANDSCAPE, rng), 0, 255).astype(np.uint8)
    darker = (picture * 0.6).astype(np.uint8)
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    assert perceptual_hash(picture).shape == (8, 8)
    assert hash_distance(picture, picture) == 0.0
    assert hash_distance(picture, darker) < 0.1
    assert hash_distance(picture, mirrored) > 0.3


def test_a_landscape_is_rough_at_every_scale_and_never_the_same():
    stage = Stage(160, 90, Fraction(25), 48_000)
    one, other = (landscape(stage, 240, np.random.default_rng(seed)) for seed in (1, 2))
    assert one.shape == (90, 240, 3)
    assert 0 <= one.min() < one.max() <= 255
    assert np.abs(one - other).mean() > 10
    for step in (1, 4, 16):
        assert np.abs(one[:, step:] - one[:, :-step]).mean() > 0.5
