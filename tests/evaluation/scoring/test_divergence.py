import numpy as np
import pytest

from nava.evaluation.scoring.divergence import class_divergence
from nava.runtime.errors import InputError


def logits(*probabilities):
    return np.log(np.array([probabilities]))


def test_equal_sounds_score_the_floor_below_0():
    uniform = np.zeros((1, 50))
    assert class_divergence(uniform, uniform).value == pytest.approx(np.log(0.02 / (0.02 + 1e-6)), rel=1e-6)
    assert -50e-6 < class_divergence(uniform, uniform).value < 0


def test_the_formula_and_its_direction():
    expected = 0.9 * np.log(0.9 / (0.5 + 1e-6)) + 0.1 * np.log(0.1 / (0.5 + 1e-6))
    assert class_divergence(logits(0.9, 0.1), logits(0.5, 0.5)).value == pytest.approx(expected)
    back = 0.5 * np.log(0.5 / (0.9 + 1e-6)) + 0.5 * np.log(0.5 / (0.1 + 1e-6))
    assert class_divergence(logits(0.5, 0.5), logits(0.9, 0.1)).value == pytest.approx(back)
    assert expected != pytest.approx(back, rel=0.1)


def test_the_floor_bounds_what_a_class_absent_from_the_reference_costs():
    sure = np.array([[1000.0, 0.0]])
    assert class_divergence(sure, sure[:, ::-1]).value == pytest.approx(-np.log(1e-6))
    assert class_divergence(sure, sure).value == pytest.approx(-np.log(1 + 1e-6))


def test_windows_are_averaged_as_logits():
    windows = np.array([[4.0, 0.0], [0.0, 0.0]])
    one = class_divergence(np.array([[2.0, 0.0]]), np.zeros((3, 2))).value
    assert class_divergence(windows, np.zeros((1, 2))).value == pytest.approx(one)


def test_a_constant_added_to_all_logits_changes_nothing():
    first, second = np.random.default_rng(0).normal(size=(2, 3, 20))
    assert class_divergence(first + 700, second - 700).value == pytest.approx(class_divergence(first, second).value)


@pytest.mark.parametrize(
    ("generated", "reference"),
    [(np.zeros((1, 3)), np.zeros((1, 4))), (np.zeros(3), np.zeros(3)), (np.full((1, 3), np.nan), np.zeros((1, 3)))],
)
def test_unusable_logits_are_refused(generated, reference):
    with pytest.raises(InputError):
        class_divergence(generated, reference)
