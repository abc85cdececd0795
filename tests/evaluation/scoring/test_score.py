import numpy as np
import pytest

from nava.artifacts.evaluation_result import Estimate
from nava.evaluation.scoring.score import Score, checked_array, mean_score
from nava.runtime.errors import InputError


@pytest.mark.parametrize(
    "fields",
    [(None, ""), (float("nan"), ""), (float("inf"), ""), (1.0, "but why"), (None, "gone", Estimate(1.0, 0.0, 2.0, 3))],
)
def test_a_score_is_a_finite_number_or_a_reason(fields):
    with pytest.raises(AssertionError):
        Score(*fields)


def test_the_mean_is_over_measured_items_and_names_the_others():
    mean = mean_score([Score(1.0), Score.missing("no face"), Score(4.0), Score(0.0)])
    assert mean.score.value == pytest.approx(5 / 3)
    assert (mean.n, mean.left_out, mean.coverage) == (3, {1: "no face"}, 0.75)


@pytest.mark.parametrize("scores", [[], [Score.missing("no face")]])
def test_a_mean_of_nothing_is_no_zero(scores):
    mean = mean_score(scores)
    assert mean.score.value is None
    assert mean.score.reason
    assert mean.n == 0
    assert mean.coverage == (0.0 if scores else None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.zeros(3), "shape"),
        (np.zeros((0, 3)), "non-empty"),
        (np.full((2, 2), np.nan), "4 of 4 values are not finite"),
        (np.array([["a"]]), "real numbers"),
        (np.ones((2, 2), dtype=complex), "real numbers"),
    ],
)
def test_unusable_arrays_are_named(values, message):
    with pytest.raises(InputError, match=f"features.*{message}"):
        checked_array(values, "features", "ND")
