"""Means over items and seeds with intervals: values in a grid of both, some of them missing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nava.artifacts.evaluation_result import Estimate
from nava.evaluation.statistics import LEVEL, RESAMPLES

MIN_ITEMS = 2


def crossed_mean(
    values_NS: NDArray[np.float64], weights_N: NDArray[np.float64], seed: int, resamples: int = RESAMPLES
) -> tuple[float | None, float | None, float | None, int]:
    """Weighted mean of values by item and seed with its 95 % interval by the bootstrap of both.

    Items and seeds are drawn independently with replacement (Owen 2007, "The pigeonhole bootstrap"), since a seed's
    noise is the same for all items: clips are no independent draws. That errs on the side of wide intervals. With one
    seed it is the bootstrap over items, and the interval says nothing of other seeds.

    Args:
        values_NS: N items, S seeds; nan where there is no value.
        weights_N: of the items.
        seed: of the bootstrap: equal seeds draw equally, for every variant alike.
        resamples: how many.

    Returns:
        Mean, lower and upper end, and the count of values; None for what there is not: no value, or fewer than two
        items for an interval.
    """
    there_NS = np.isfinite(values_NS)
    count = int(there_NS.sum())
    if not count:
        return None, None, None, 0
    weighted_NS = np.where(there_NS, values_NS, 0.0) * weights_N[:, None]
    mass_NS = there_NS * weights_N[:, None]
    mean = float(weighted_NS.sum() / mass_NS.sum())
    measured = np.flatnonzero(there_NS.any(axis=1))
    if len(measured) < MIN_ITEMS:
        return mean, None, None, count
    rng = np.random.default_rng(seed)
    items_BN = _draws(rng, len(measured), resamples)
    seeds_BS = _draws(rng, values_NS.shape[1], resamples)
    total_B = ((items_BN @ weighted_NS[measured]) * seeds_BS).sum(axis=1)
    mass_B = ((items_BN @ mass_NS[measured]) * seeds_BS).sum(axis=1)
    means_B = total_B[mass_B > 0] / mass_B[mass_B > 0]
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(means_B, [tail, 100 - tail])
    return mean, float(low), float(high), count


def seed_mean(values_S: NDArray[np.float64]) -> tuple[float | None, float | None, float | None, int]:
    """The same of one value per seed, such as a distance of sets: Student's interval over seeds, none with one seed."""
    from nava.evaluation.statistics import student_mean

    count = int(np.isfinite(values_S).sum())
    if not count or count < len(values_S):
        return None, None, None, count
    if count == 1:
        return float(values_S[0]), None, None, 1
    found: Estimate = student_mean(values_S)
    return found.value, found.ci_low, found.ci_high, found.n


def _draws(rng: np.random.Generator, size: int, resamples: int) -> NDArray[np.float64]:
    """How often each of `size` things is drawn, in each resample."""
    return rng.multinomial(size, np.full(size, 1 / size), size=resamples).astype(np.float64)
