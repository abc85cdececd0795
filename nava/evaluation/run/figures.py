"""Figures: a column's mean with its interval and coverage, or why there is none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nava.evaluation.extraction.feature_cache import FeatureCache, Wish
from nava.evaluation.extraction.features import Features, UnmeasurableError
from nava.evaluation.run.cells import Column
from nava.evaluation.run.records import Figure, Row
from nava.evaluation.run.rows import item_features
from nava.evaluation.statistics import LEVEL, RESAMPLES, bootstrap_mean

MIN_ITEMS = 2


@dataclass(frozen=True)
class _Estimate:
    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None


def sample_figure(column: Column, rows: Sequence[Row], aggregation: str, min_coverage: float, seed: int) -> Figure:
    """The figure of a metric with a value for each item."""
    measured = [row for row in rows if row.value is not None]
    reasons: dict[str, int] = {}
    for row in rows:
        if row.value is None:
            reasons[row.reason] = reasons.get(row.reason, 0) + 1
    estimate = _mean(measured, aggregation, seed) if measured else _Estimate(None)
    return _figure(column, estimate, len(measured), min_coverage, reasons)


def set_figure(
    column: Column,
    outputs: Mapping[str, Path],
    cache: FeatureCache,
    failures: Mapping[Wish, str],
    min_coverage: float,
    seed: int,
    missing: Mapping[str, str] | None = None,
) -> Figure:
    """The figure of a metric that compares all clips with all references; its interval by bootstrap of items."""
    from nava.evaluation.catalogue.scorers import SET_SCORERS

    pairs: list[tuple[np.ndarray, np.ndarray]] = []
    reasons: dict[str, int] = {}
    for item in column.items:
        try:
            found = item_features(column, item, outputs, cache, failures, missing)
            first, second = (_embeddings(found[subject]) for subject in column.manifest.subjects)
            pairs.append((first, second))
        except UnmeasurableError as error:
            reasons[str(error)] = reasons.get(str(error), 0) + 1
    scorer = SET_SCORERS[column.manifest.scorer]
    if len(pairs) < MIN_ITEMS:
        reasons[f"a distance of sets needs at least {MIN_ITEMS} items"] = 1
        return _figure(column, _Estimate(None), len(pairs), min_coverage, reasons)
    score = scorer(*_sides(pairs, range(len(pairs))))
    if score.value is None:
        return _figure(column, _Estimate(None), len(pairs), min_coverage, {**reasons, score.reason: 1})
    rng = np.random.default_rng(seed)
    drawn = [rng.integers(len(pairs), size=len(pairs)) for _ in range(200)]
    values = [scorer(*_sides(pairs, pick)).value for pick in drawn]
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile([value for value in values if value is not None], [tail, 100 - tail])
    return _figure(column, _Estimate(score.value, float(low), float(high)), len(pairs), min_coverage, reasons)


def _embeddings(features: Features) -> np.ndarray:
    """Of a file, one row or several [R, D]."""
    several = features.arrays.get("embeddings_WD")
    return features.arrays["embedding_D"][None] if several is None else several


def _sides(pairs: Sequence[tuple[np.ndarray, np.ndarray]], pick: Iterable[int]) -> tuple[np.ndarray, np.ndarray]:
    """All rows of the picked items, generated and reference."""
    first, second = zip(*(pairs[index] for index in pick), strict=True)
    return np.concatenate(first), np.concatenate(second)


def _mean(rows: Sequence[Row], aggregation: str, seed: int) -> _Estimate:
    by_subset: dict[str, list[float]] = {}
    for row in sorted(rows, key=lambda row: row.item_id):
        assert row.value is not None
        by_subset.setdefault(row.subset, []).append(row.value)
    if aggregation == "items" or len(by_subset) == 1:
        values = [value for part in by_subset.values() for value in part]
        if len(values) < MIN_ITEMS:
            return _Estimate(values[0])
        found = bootstrap_mean(values, seed)
        return _Estimate(found.value, found.ci_low, found.ci_high)
    rng = np.random.default_rng(seed)
    parts = [np.array(values) for _, values in sorted(by_subset.items())]
    means = [part[rng.integers(len(part), size=(RESAMPLES, len(part)))].mean(axis=1) for part in parts]
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(np.mean(means, axis=0), [tail, 100 - tail])
    return _Estimate(float(np.mean([part.mean() for part in parts])), float(low), float(high))


def _figure(column: Column, estimate: _Estimate, n: int, min_coverage: float, reasons: Mapping[str, int]) -> Figure:
    manifest, eligible = column.manifest, len(column.items)
    covered = bool(eligible) and n >= min_coverage * eligible
    reason = ""
    if not eligible:
        reason = "no item of the benchmark is eligible"
    elif not covered:
        most = max(reasons, key=lambda text: reasons[text]) if reasons else "unknown"
        reason = f"only {n} of {eligible} items have a value, {min_coverage:.0%} must; mostly: {most}"
    return Figure(
        column=column.name,
        metric=manifest.metric_id,
        protocol=manifest.protocol,
        backend=column.backend.backend,
        tier=column.backend.tier,
        unit=manifest.unit,
        direction=manifest.direction,
        level=manifest.level,
        value=estimate.value,
        ci_low=estimate.ci_low,
        ci_high=estimate.ci_high,
        n=n,
        eligible=eligible,
        covered=covered,
        unproven=not column.backend.proven,
        reason=reason,
        reasons=dict(sorted(reasons.items())),
    )
