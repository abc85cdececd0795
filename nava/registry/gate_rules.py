"""The rules of the evaluation gate: what a candidate must show in itself, and against the champion.

A rule whose metric was not measured, or over too few clips, is recorded as not applicable with the reason, unless the
evaluation calls the metric primary: then it counts as broken. A candidate for which no rule could be applied does not
pass.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from nava.artifacts.evaluation_result import EvaluationResult, MetricEntry, SampleRecord
from nava.artifacts.gate_verdict import RuleResult
from nava.config.promotion import PromotionConfig

_Z = 1.959963984540054  # 97.5 % point of the standard normal


@dataclass(frozen=True)
class Evaluated:
    """An evaluation with its samples, and what to call the model it is of."""

    label: str
    result: EvaluationResult
    samples: list[SampleRecord]


def candidate_rules(result: EvaluationResult, config: PromotionConfig) -> list[RuleResult]:
    """What a candidate must show against shuffled audio and against the untrained model."""
    return [
        _synchrony_rule(result, config),
        _untrained_rule(result, config),
        *(_loss_rule(result, name, config) for name in config.loss_gain_metrics),
    ]


def champion_rules(candidate: Evaluated, champion: Evaluated, config: PromotionConfig, seed: int) -> list[RuleResult]:
    """What a candidate must show against the champion: its synchrony is not worse by more than the margin."""
    title = f"{config.synchrony_metric} is not worse than that of {champion.label} by more than the margin"
    expected = f"interval of the difference above {-config.non_inferiority_margin:g}"
    ours, theirs = (side.result.metric(config.synchrony_metric) for side in (candidate, champion))
    for metric, side in ((ours, candidate), (theirs, champion)):
        if (reason := _inapplicable(metric, config)) is not None:
            return [RuleResult(title, None, None, expected, note=f"{side.label}: {reason}")]
    assert ours is not None
    assert theirs is not None
    if ours.protocol != theirs.protocol:
        note = "numbers of two protocols do not compare: evaluate the champion again with this one, or promote by hand"
        return [RuleResult(title, False, f"{theirs.protocol} against {ours.protocol}", expected, note=note)]
    low, observed, note = _difference(candidate, champion, ours, theirs, config, seed)
    return [RuleResult(title, low > -config.non_inferiority_margin, observed, expected, note=note)]


def evidence_rule(rules: Iterable[RuleResult]) -> RuleResult:
    """A gate that could not look at anything says no."""
    applied = sum(rule.passed is not None for rule in rules)
    note = "" if applied else "add media so that more clips are held out, or lower promotion.min_n"
    return RuleResult("at least one rule could be applied", applied > 0, applied, "1 or more", note=note)


def sample_values(samples: Iterable[SampleRecord], metric: MetricEntry, measures: list[str]) -> dict[str, float]:
    """The metric per clip: the first measure, less the second if two are named; clips without them are left out."""
    values = {}
    for sample in samples:
        if sample.family != metric.family or sample.variant != metric.variant or sample.changed is not None:
            continue
        terms = [sample.metrics.get(measure) for measure in measures]
        numbers = [term for term in terms if term is not None]
        if numbers and len(numbers) == len(terms):
            values[f"{sample.clip_id}/{sample.prompt}"] = numbers[0] - sum(numbers[1:])
    return values


def _difference(
    candidate: Evaluated,
    champion: Evaluated,
    ours: MetricEntry,
    theirs: MetricEntry,
    config: PromotionConfig,
    seed: int,
) -> tuple[float, str, str]:
    """Lower end of the interval of candidate minus champion, its text, and how it was found."""
    from nava.evaluation.statistics import bootstrap_mean

    sign = 1.0 if ours.direction == "higher" else -1.0
    first = sample_values(candidate.samples, ours, config.synchrony_measures)
    second = sample_values(champion.samples, theirs, config.synchrony_measures)
    common = sorted(first.keys() & second.keys())
    if len(common) >= config.min_n:
        differences = [sign * (first[item] - second[item]) for item in common]
        found = bootstrap_mean(differences, seed, config.bootstrap_samples)
        return (
            found.ci_low,
            _interval(found.value, found.ci_low, found.ci_high, found.n),
            "paired over the same prompts",
        )
    assert ours.value is not None
    assert theirs.value is not None
    value = sign * (ours.value - theirs.value)
    half = _Z * math.hypot(_standard_error(ours), _standard_error(theirs))
    note = f"unpaired: only {len(common)} prompts are common to both evaluations"
    return value - half, _interval(value, value - half, value + half, min(ours.n or 0, theirs.n or 0)), note


def _synchrony_rule(result: EvaluationResult, config: PromotionConfig) -> RuleResult:
    title = f"{config.synchrony_metric}: picture and sound belong together more than with shuffled audio"
    expected = f"interval above {config.min_synchrony_gap:g}"
    metric = result.metric(config.synchrony_metric)
    if (reason := _inapplicable(metric, config)) is not None:
        return RuleResult(title, _lost(metric), None, expected, note=reason)
    assert metric is not None
    assert metric.ci_low is not None
    return RuleResult(title, metric.ci_low > config.min_synchrony_gap, _observed(metric), expected)


def _untrained_rule(result: EvaluationResult, config: PromotionConfig) -> RuleResult:
    title = f"{config.synchrony_metric} of the untrained model is none, so that the metric measures learning"
    expected = "interval contains 0"
    metric = result.metric(config.synchrony_metric)
    if (reason := _inapplicable(metric, config)) is not None:
        return RuleResult(title, None, None, expected, note=reason)
    assert metric is not None
    untrained = metric.baseline_untrained
    if untrained is None:
        return RuleResult(title, None, None, expected, note="the untrained model was not evaluated")
    if untrained.n < config.min_n:
        return RuleResult(title, None, None, expected, note=_too_few(untrained.n, config))
    observed = _interval(untrained.value, untrained.ci_low, untrained.ci_high, untrained.n)
    return RuleResult(title, untrained.ci_low <= 0 <= untrained.ci_high, observed, expected)


def _loss_rule(result: EvaluationResult, name: str, config: PromotionConfig) -> RuleResult:
    title = f"{name}: the validation loss is lower than the untrained model's"
    expected = "interval of the gain above 0"
    metric = result.metric(name)
    if (reason := _inapplicable(metric, config, name)) is not None:
        return RuleResult(title, _lost(metric), None, expected, note=reason)
    assert metric is not None
    assert metric.ci_low is not None
    return RuleResult(title, metric.ci_low > 0, _observed(metric), expected)


def _inapplicable(metric: MetricEntry | None, config: PromotionConfig, name: str | None = None) -> str | None:
    """Why a metric can decide nothing, or None if it can."""
    if metric is None:
        return f"not applicable: the evaluation has no metric {name or config.synchrony_metric}"
    if not metric.measured:
        return f"not measured: {metric.reason}"
    if (metric.n or 0) < config.min_n:
        return _too_few(metric.n or 0, config)
    return None


def _lost(metric: MetricEntry | None) -> bool | None:
    """False for a primary metric that has no value: too many of its clips failed, which must not pass for good."""
    return False if metric is not None and metric.primary and not metric.measured else None


def _too_few(n: int, config: PromotionConfig) -> str:
    return f"not applicable: measured on {n} clips, fewer than the {config.min_n} that decide anything"


def _standard_error(metric: MetricEntry) -> float:
    assert metric.ci_low is not None
    assert metric.ci_high is not None
    return (metric.ci_high - metric.ci_low) / (2 * _Z)


def _observed(metric: MetricEntry) -> str:
    assert metric.value is not None
    assert metric.ci_low is not None
    assert metric.ci_high is not None
    return _interval(metric.value, metric.ci_low, metric.ci_high, metric.n or 0)


def _interval(value: float, low: float, high: float, n: int) -> str:
    return f"{value:.3f} [{low:.3f}, {high:.3f}], n {n}"
