"""What was learned and what was not, in plain language, derived from the intervals."""

from __future__ import annotations

from collections.abc import Sequence

from nava.artifacts import evaluation_result as names
from nava.artifacts.evaluation_result import MetricEntry, Statement
from nava.evaluation.plan import Family


def family_statements(families: Sequence[Family], metrics: Sequence[MetricEntry], min_gap: float) -> list[Statement]:
    """One statement per family: is its synchrony learned, not learned, or not to be told from this data?"""
    by_name = {metric.name: metric for metric in metrics}
    statements = []
    for family in families:
        metric = by_name[names.SYNC_GAP if family.scored else names.other_gap(family.name)]
        learned = _learned(metric, min_gap)
        statements.append(Statement(family.name, learned, _text(family, metric, learned, min_gap)))
    return statements


def _learned(metric: MetricEntry, min_gap: float) -> bool | None:
    if not metric.measured or metric.ci_low is None:
        return None
    if metric.ci_low > min_gap:
        return True
    real = metric.reference_real or metric.reference_codec
    # A measure that does not see synchrony in the real clips cannot miss it in generated ones.
    return None if real is None or real.ci_low <= min_gap else False


def _text(family: Family, metric: MetricEntry, learned: bool | None, min_gap: float) -> str:
    name = family.name.capitalize()
    if not metric.measured:
        return f"{name}: synchrony not measured ({metric.reason})."
    gap = f"gap {metric.value:.2f} [{metric.ci_low:.2f}, {metric.ci_high:.2f}] over {metric.n} prompts"
    if learned:
        return f"{name}: learned. Picture and sound belong together ({gap}; the interval lies above {min_gap:g})."
    real = metric.reference_real or metric.reference_codec
    ceiling = f"{real.value:.2f} [{real.ci_low:.2f}, {real.ci_high:.2f}]" if real else "not measured"
    if learned is None:
        return (
            f"{name}: cannot be told. The measure does not see the synchrony of the real clips either "
            f"({ceiling}); generated clips: {gap}."
        )
    return f"{name}: not learned. The interval does not lie above {min_gap:g}: {gap}; real clips {ceiling}."
