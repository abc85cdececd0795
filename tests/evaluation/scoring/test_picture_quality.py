import numpy as np
import pytest

from nava.evaluation.scoring.picture_quality import colourfulness, exposure, flicker, frozen_share, luma, sharpness
from nava.runtime.errors import InputError


def grey(*levels, size=8):
    """A clip of even grey frames."""
    return np.broadcast_to(np.array(levels, dtype=np.uint8)[:, None, None, None], (len(levels), size, size, 3)).copy()


def one_colour(red, green, blue):
    return np.full((1, 4, 4, 3), (red, green, blue), dtype=np.uint8)


def test_luma_is_bt_601():
    assert luma(one_colour(255, 0, 0))[0, 0, 0] == pytest.approx(0.299 * 255)
    assert luma(one_colour(0, 255, 0))[0, 0, 0] == pytest.approx(0.587 * 255)
    assert luma(grey(200))[0, 0, 0] == pytest.approx(200)


def test_sharpness_of_a_chequerboard_an_edge_and_a_ramp():
    y, x = np.mgrid[:10, :10]
    board = np.repeat((((y + x) % 2) * 100).astype(np.uint8)[None, ..., None], 3, axis=3)
    assert sharpness(board)[0] == pytest.approx(400.0**2)  # the Laplacian alternates between +400 and -400
    ramp = np.repeat((x * 20).astype(np.uint8)[None, ..., None], 3, axis=3)
    assert sharpness(ramp)[0] == pytest.approx(0, abs=1e-18)
    edge = np.repeat(((x >= 5) * 100).astype(np.uint8)[None, ..., None], 3, axis=3)
    assert sharpness(edge)[0] == pytest.approx(2 * 100.0**2 / 8)  # +100 and -100 in two of the eight inner columns


def test_sharpness_is_per_frame():
    y, x = np.mgrid[:10, :10]
    clip = np.stack([np.full((10, 10), 50), ((y + x) % 2) * 10]).astype(np.uint8)
    np.testing.assert_allclose(sharpness(np.repeat(clip[..., None], 3, axis=3)), [0, 1600], atol=1e-15)


@pytest.mark.parametrize(
    ("levels", "expected"),
    [((10, 20, 30, 40), 0.0), ((50, 50, 50), 0.0), ((50, 70, 50, 70, 50), 20.0), ((0, 0, 0, 100, 100, 100), 25.0)],
)
def test_flicker_is_trembling_and_not_fading(levels, expected):
    assert flicker(grey(*levels)).value == pytest.approx(expected)


def test_frozen_share():
    assert frozen_share(grey(9, 9, 9, 40, 80)).value == 0.5
    assert frozen_share(grey(9, 10, 11)).value == 0.0
    moving = grey(9, 9)
    moving[1, 0, 0] = 255  # one pixel of 64
    assert frozen_share(moving).value == 0.0
    assert frozen_share(moving, smallest_step=5.0).value == 1.0


def test_colourfulness_in_closed_form():
    assert colourfulness(grey(10, 200)).tolist() == [0.0, 0.0]
    # rg = 255, yb = 127.5, no spread.
    assert colourfulness(one_colour(255, 0, 0))[0] == pytest.approx(0.3 * np.hypot(255, 127.5))
    halves = one_colour(255, 0, 0)
    halves[:, :, 2:] = (0, 255, 0)
    # rg = +-255 and yb = 127.5: spread 255, mean (0, 127.5).
    assert colourfulness(halves)[0] == pytest.approx(255 + 0.3 * 127.5)


def test_exposure_leaves_out_both_ends():
    assert exposure(grey(16, 17, 238, 239)).value == 0.5
    assert exposure(grey(0, 255)).value == 0.0


def test_too_few_frames_are_a_reason():
    assert "three frames" in flicker(grey(1, 2)).reason
    assert "single" in frozen_share(grey(1)).reason


@pytest.mark.parametrize("measure", [sharpness, flicker, frozen_share, colourfulness, exposure])
@pytest.mark.parametrize(
    "video", [np.zeros((2, 8, 8, 3)), np.zeros((8, 8, 3), np.uint8), np.zeros((0, 8, 8, 3), np.uint8)]
)
def test_wrong_videos_are_refused(measure, video):
    with pytest.raises(InputError, match="uint8"):
        measure(video)


def test_pictures_without_an_inside_have_no_sharpness():
    with pytest.raises(InputError, match="3x3"):
        sharpness(np.zeros((1, 2, 8, 3), np.uint8))
