"""Means over items and seeds: closed cases, and intervals that cover what they claim to."""

import numpy as np
import pytest
from scipy.stats import t

from nava.evaluation.statistics import bootstrap_mean
from nava.evaluation.sweep.crossed import crossed_mean, seed_mean


def test_means_and_counts_leave_out_what_is_missing() -> None:
    values_NS = np.array([[1.0, 3.0], [np.nan, 5.0], [np.nan, np.nan]])
    mean, low, high, n = crossed_mean(values_NS, np.ones(3), 0)
    assert (mean, n) == (3.0, 3)
    assert low is not None
    assert 1.0 <= low <= mean <= high <= 5.0
    weighted, *_ = crossed_mean(values_NS, np.array([1.0, 2.0, 1.0]), 0)
    assert weighted == pytest.approx((1 + 3 + 2 * 5) / 4)
    assert crossed_mean(values_NS[2:], np.ones(1), 0) == (None, None, None, 0)
    assert crossed_mean(values_NS[:1], np.ones(1), 0) == (2.0, None, None, 2)


def test_one_seed_is_the_bootstrap_over_items() -> None:
    values = np.random.default_rng(1).normal(size=30)
    _, low, high, _ = crossed_mean(values[:, None], np.ones(30), 0)
    known = bootstrap_mean(values, 0)
    assert (low, high) == (pytest.approx(known.ci_low, abs=0.03), pytest.approx(known.ci_high, abs=0.03))


def test_the_interval_covers_the_truth_where_clips_taken_for_independent_would_not() -> None:
    """What a seed does to all items at once is the larger part here; the mean of everything is 0."""
    crossed = naive = 0
    for trial in range(120):
        rng = np.random.default_rng(trial)
        values_NS = rng.normal(size=(12, 1)) * 0.3 + rng.normal(size=(1, 6)) + rng.normal(size=(12, 6)) * 0.3
        _, low, high, _ = crossed_mean(values_NS, np.ones(12), trial, resamples=400)
        crossed += low <= 0 <= high
        flat = bootstrap_mean(values_NS.ravel(), trial, resamples=400)
        naive += flat.ci_low <= 0 <= flat.ci_high
    assert crossed >= 0.8 * 120
    assert naive <= 0.6 * 120


def test_one_value_per_seed_has_student_s_interval() -> None:
    mean, low, high, n = seed_mean(np.array([1.0, 2.0, 3.0]))
    half = t.ppf(0.975, 2) / np.sqrt(3)
    assert (mean, n) == (2.0, 3)
    assert (low, high) == (pytest.approx(2 - half), pytest.approx(2 + half))
    assert seed_mean(np.array([4.0])) == (4.0, None, None, 1)
    assert seed_mean(np.array([4.0, np.nan])) == (None, None, None, 1)
