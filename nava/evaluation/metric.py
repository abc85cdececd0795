"""A metric: what it is called, what it compares, and how its per-clip values become one number with an interval."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nava.artifacts.evaluation_result import Estimate, MetricEntry
from nava.config.evaluation import EvaluationConfig
from nava.evaluation.statistics import bootstrap_mean, wilson

ClipValues = Mapping[str, float | None]
"""A value per clip id; None or nan where it is undefined (a silent clip has no correlation)."""


@dataclass(frozen=True)
class Metric:
    """The description of a metric, and where its per-clip values come from.

    ``values`` gives the values of the evaluated model; the others those of its baselines and references, if it has any.
    ``needs`` says what must exist for it, in words that complete "needs ...". ``share``: values are 0 or 1, the
    interval is Wilson's.
    """

    name: str
    label: str
    description: str
    protocol: str
    backend: str
    unit: str
    values: Callable[[], ClipValues]
    direction: str = "higher"
    needs: str = "held-out clips"
    family: str | None = None
    variant: str | None = None
    primary: bool = False
    share: bool = False
    chance: float | None = None
    untrained: Callable[[], ClipValues] | None = None
    shuffled: Callable[[], ClipValues] | None = None
    codec: Callable[[], ClipValues] | None = None
    real: Callable[[], ClipValues] | None = None


def defined(values: ClipValues) -> dict[str, float]:
    """The clips whose value is defined."""
    return {clip: float(value) for clip, value in values.items() if value is not None and math.isfinite(value)}


def evaluate_metric(metric: Metric, config: EvaluationConfig, seed: int) -> MetricEntry:
    """The metric's row of the summary; skipped, with the reason, when too few clips have a value.

    A metric with too few held-out clips to begin with cannot be primary; one that lost its clips on the way stays so.
    """
    values = metric.values()
    found, eligible = defined(values), len(values)
    reason = _too_few(metric, len(found), eligible, config)
    estimate = None if reason else _estimate(values, metric.share, seed, config.min_clips)

    def compared(source: Callable[[], ClipValues] | None) -> Estimate | None:
        return _estimate(source(), metric.share, seed, config.min_clips) if estimate and source else None

    return MetricEntry(
        name=metric.name,
        label=metric.label,
        description=metric.description,
        protocol=metric.protocol,
        backend=metric.backend,
        direction=metric.direction,
        unit=metric.unit,
        status="ok" if estimate else "skipped",
        reason=reason,
        eligible=eligible,
        coverage=len(found) / eligible if estimate else None,
        family=metric.family,
        variant=metric.variant,
        primary=metric.primary and eligible >= config.min_clips,
        value=estimate.value if estimate else None,
        ci_low=estimate.ci_low if estimate else None,
        ci_high=estimate.ci_high if estimate else None,
        n=estimate.n if estimate else None,
        chance=metric.chance,
        baseline_untrained=compared(metric.untrained),
        baseline_shuffled=compared(metric.shuffled),
        reference_codec=compared(metric.codec),
        reference_real=compared(metric.real),
    )


def difference(first: ClipValues, second: ClipValues) -> dict[str, float | None]:
    """Per clip, first minus second; None where either is undefined. The pairing is what makes the interval narrow."""
    left, right = defined(first), defined(second)
    return {clip: left[clip] - right[clip] if clip in left and clip in right else None for clip in first}


def _estimate(values: ClipValues, share: bool, seed: int, min_clips: int) -> Estimate | None:
    numbers = list(defined(values).values())
    if len(numbers) < max(1, min_clips):
        return None
    return wilson(round(sum(numbers)), len(numbers)) if share else bootstrap_mean(numbers, seed)


def _too_few(metric: Metric, n: int, eligible: int, config: EvaluationConfig) -> str:
    """Why the metric cannot be given, or nothing."""
    if eligible == 0:
        return f"needs {metric.needs}: there are none"
    if eligible < config.min_clips:
        return f"needs at least {config.min_clips} {metric.needs}: there are {eligible}"
    if n < max(config.min_clips, config.min_coverage * eligible):
        return (
            f"only {n} of {eligible} clips have a defined value; "
            f"at least {config.min_clips} and {config.min_coverage:.0%} must have one"
        )
    return ""
