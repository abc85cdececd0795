from fractions import Fraction

import numpy as np
import pytest

from nava.data.synthetic.case_plan import COPIES
from nava.data.synthetic.copies import CRF, re_encode
from nava.data.synthetic.files import Film


def film():
    rng = np.random.default_rng(5)
    tiles = rng.integers(20, 180, size=(3, 9, 16, 3), dtype=np.uint8)
    return Film(tiles.repeat(10, axis=1).repeat(10, axis=2), Fraction(25), None, 48_000)


@pytest.mark.parametrize("change", COPIES)
def test_every_copy_changes_what_it_names_and_not_its_original(change):
    original = film()
    before = original.frames_THWC.copy()
    copied, crf = re_encode(original, change, 0)
    np.testing.assert_array_equal(original.frames_THWC, before)
    assert len(copied.frames_THWC) == 3
    assert all(side % 2 == 0 for side in copied.frames_THWC.shape[1:3])
    if change == "recompressed":
        assert crf >= CRF + 10
    else:
        assert crf == CRF
        assert copied.frames_THWC.shape != before.shape or (copied.frames_THWC != before).any()


def test_sizes_differ_and_show_the_same():
    sizes = {re_encode(film(), "rescaled", variant)[0].frames_THWC.shape[1:3] for variant in range(3)}
    assert sizes == {(44, 80), (68, 120), (136, 240)}
    small = re_encode(film(), "rescaled", 0)[0].frames_THWC
    assert small.mean() == pytest.approx(film().frames_THWC.mean(), abs=2)


def test_a_brightened_copy_is_brighter_by_the_same_factor_everywhere():
    bright = re_encode(film(), "brightened", 0)[0].frames_THWC
    np.testing.assert_allclose(bright, np.minimum(film().frames_THWC * 1.2, 255), atol=1)


def test_a_mirrored_copy_mirrored_again_is_the_original():
    twice = re_encode(re_encode(film(), "mirrored", 0)[0], "mirrored", 0)[0]
    np.testing.assert_array_equal(twice.frames_THWC, film().frames_THWC)


def test_a_cropped_copy_lacks_the_edge():
    original = film()
    original.frames_THWC[:, :, :6] = 255
    cropped = re_encode(original, "cropped", 0)[0].frames_THWC
    assert cropped.shape == original.frames_THWC.shape
    assert cropped.max() < 250


def test_a_logo_lies_in_an_upper_corner_only():
    for variant in range(2):
        marked = re_encode(film(), "with_logo", variant)[0].frames_THWC
        rows, columns = np.nonzero((marked != film().frames_THWC).any(axis=(0, 3)))
        assert len(rows)
        assert rows.max() < 0.25 * marked.shape[1]
        assert (columns.max() < marked.shape[2] / 2) == bool(variant)
