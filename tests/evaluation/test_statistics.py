import numpy as np
import pytest

from nava.evaluation.statistics import bootstrap_mean, wilson


def test_bootstrap_of_equal_values_has_no_width():
    estimate = bootstrap_mean([2.0] * 5, seed=1)
    assert (estimate.value, estimate.ci_low, estimate.ci_high, estimate.n) == (2.0, 2.0, 2.0, 5)


def test_bootstrap_width_is_that_of_the_mean():
    values = np.random.default_rng(0).normal(3.0, 2.0, size=400)
    estimate = bootstrap_mean(values, seed=1)
    expected = 1.96 * values.std() / 20
    assert estimate.value == pytest.approx(values.mean())
    assert (estimate.ci_high - estimate.ci_low) / 2 == pytest.approx(expected, rel=0.05)


def test_bootstrap_interval_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    covered = 0
    for trial in range(300):
        estimate = bootstrap_mean(rng.normal(size=32), seed=trial, resamples=500)
        covered += estimate.ci_low <= 0.0 <= estimate.ci_high
    assert 0.89 <= covered / 300 <= 0.98


def test_bootstrap_is_a_function_of_values_and_seed():
    values = np.random.default_rng(0).normal(size=20)
    assert bootstrap_mean(values, seed=3) == bootstrap_mean(values, seed=3)
    assert bootstrap_mean(values, seed=3) != bootstrap_mean(values, seed=4)


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], [1.0, float("nan")], [float("inf")]])
def test_bootstrap_refuses_what_has_no_mean(values):
    with pytest.raises(ValueError):
        bootstrap_mean(values, seed=0)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    # 120 of 200: published in Wilson's tables; 0 and all of 10: the rule z^2 / (n + z^2).
    [(120, 200, 0.5308, 0.6654), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (50, 100, 0.4038, 0.5962)],
)
def test_wilson_closed_forms(successes, n, low, high):
    estimate = wilson(successes, n)
    assert estimate.value == successes / n
    assert estimate.ci_low == pytest.approx(low, abs=1e-4)
    assert estimate.ci_high == pytest.approx(high, abs=1e-4)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (-1, 3), (4, 3)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="successes"):
        wilson(successes, n)
