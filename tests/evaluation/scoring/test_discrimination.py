"""The area under the ROC curve and its interval, against values that can be worked out."""

import numpy as np
import pytest

from nava.evaluation.scoring.discrimination import auroc
from nava.runtime.errors import InputError


@pytest.mark.parametrize(
    ("first", "second", "area"),
    [
        ([2, 3], [0, 1], 1.0),
        ([0, 1], [2, 3], 0.0),
        ([1, 1], [1, 1], 0.5),
        ([1, 3], [2, 2], 0.5),
        ([1, 2], [1, 0], 0.875),
    ],
)
def test_the_area_counts_pairs_and_half_of_ties(first, second, area):
    assert auroc(np.array(first, float), np.array(second, float)).value == area


def test_the_interval_solves_its_equation():
    rng = np.random.default_rng(0)
    found = auroc(rng.normal(0.8, 1, 30), rng.normal(0, 1, 40))
    for bound in (found.ci_low, found.ci_high):
        inside = 1 + 34 * (1 - bound) / (2 - bound) + 34 * bound / (1 + bound)
        error = np.sqrt(bound * (1 - bound) * inside / (30 * 40))
        assert abs(bound - found.value) == pytest.approx(1.959964 * error, rel=1e-6)
    assert found.ci_low < found.value < found.ci_high


def test_few_clips_that_are_all_told_apart_are_no_certainty():
    four = auroc(np.arange(4) + 10.0, np.arange(4.0))
    many = auroc(np.arange(100) + 200.0, np.arange(100.0))
    assert four.value == many.value == four.ci_high == 1.0
    assert four.ci_low < 0.7 < 0.95 < many.ci_low < 1.0


def test_groups_turned_round_give_the_mirrored_interval():
    rng = np.random.default_rng(1)
    one, other = rng.normal(size=12), rng.normal(0.5, 1, 9)
    there, back = auroc(one, other), auroc(other, one)
    assert there.value == pytest.approx(1 - back.value)
    assert there.ci_low == pytest.approx(1 - back.ci_high)


def test_the_interval_covers_as_it_says():
    rng = np.random.default_rng(2)
    true = 0.7602  # P(N(1, 1) > N(0, 1)) = Phi(1 / sqrt 2)
    drawn = [auroc(rng.normal(1, 1, 12), rng.normal(0, 1, 12)) for _ in range(400)]
    assert 0.91 <= np.mean([found.ci_low <= true <= found.ci_high for found in drawn]) <= 0.99


def test_an_empty_group_is_refused():
    with pytest.raises(InputError):
        auroc(np.array([]), np.array([1.0]))
