"""Amounts that theory gives: right ones pass, others are told with both numbers, and each is of something there is."""

import numpy as np
import pytest

from nava.evaluation.catalogue.manifest import catalogue
from nava.evaluation.doctor.amounts import AMOUNTS, Amount


def test_a_change_is_compared_with_a_change_and_a_value_with_a_value() -> None:
    whole_N, quieter_N = np.array([-20.0, -30.0, -25.0]), np.array([-32.1, -42.0, -36.9])
    assert Amount(-12.0, 0.2, of_change=True).problem(whole_N, quieter_N) == ""
    assert Amount(-36.9, 0.01).problem(whole_N, quieter_N) == ""


@pytest.mark.parametrize("off", [-0.3, 0.3])
def test_what_is_off_is_told_with_both_numbers(off: float) -> None:
    whole_N = np.array([-20.0, -30.0, -25.0])
    told = Amount(-12.0, 0.2, of_change=True).problem(whole_N, whole_N - 12.0 + off)
    assert told == f"the median change is {-12 + off:.3g}, theory says -12 within 0.2"


def test_amounts_are_of_what_manifests_say_that_is_noticed() -> None:
    for metric, perturbation in AMOUNTS:
        assert perturbation in catalogue()[metric].sensitive_to
