"""The gate on benchmark figures: rules over results of `nava eval score`, in themselves and against the champion's.

What breaks a rule: a bound or a comparison that does not hold, and too few items with a value. What leaves it
undecided, and so breaks it only where it is required: no result of the task, no such figure, a backend that has never
run on its real weights, too few values to tell anything, no figure of the champion's. Figures of another task,
edition, set of items, protocol or backend are never compared: then the rule is broken.
"""

import importlib.metadata
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from nava.artifacts.benchmark_verdict import BenchmarkVerdict, ResultEvidence
from nava.artifacts.gate_verdict import RuleResult
from nava.config.benchmark_rule import NON_INFERIORITY, ON_VALUE, BenchmarkRule
from nava.evaluation.catalogue.manifest import catalogue
from nava.evaluation.run.compare import paired_bootstrap
from nava.evaluation.run.records import Figure, measured_differently
from nava.evaluation.run.result_files import ResultFiles
from nava.runtime.errors import InputError

NO_CHAMPION = "not applicable: there is no champion to compare with"
# What must be equal before two figures are figures of the same thing.
_SAME = ("task", "edition", "manifest_sha256", "items")
_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Compared:
    """What a verdict is about.

    Attributes:
        candidate: results by task.
        champion: the results to compare with, by the candidate's task; None if there is no champion.
        package_sha256, champion_package_sha256: the packages whose outputs the results are of, where known.
        place: where the candidate's results were looked for, for people.
    """

    candidate: Mapping[str, ResultFiles]
    champion: Mapping[str, ResultFiles] | None = None
    package_sha256: str | None = None
    champion_package_sha256: str | None = None
    place: str = ""


def package_of(results: Sequence[ResultFiles], given: str | None) -> str | None:
    """The package whose outputs results are of: as given, else as all of them say, else None.

    Args:
        results: of one side, at least one.
        given: the package that they are said to be of.

    Raises:
        InputError: a result says that it is of another package.
    """
    stated = [result.package_sha256 for result in results]
    package = given or (stated[0] if all(stated) else None)
    for result in results:
        if package and result.package_sha256 and result.package_sha256 != package:
            raise InputError(
                f"{result.folder} is a result of the package {result.package_sha256}, not of {package}: "
                "give results of one package"
            )
    return package


def judge(rules: Sequence[BenchmarkRule], compared: Compared, seed: int) -> BenchmarkVerdict:
    """The verdict on a candidate's results. A gate that could apply no rule says no.

    Args:
        rules: checked ones, see `nava.registry.benchmark_rules`.
        compared: the results.
        seed: of the bootstrap of paired differences.
    """
    results = [result for rule in rules for result in rule_results(rule, compared, seed)]
    applied = sum(result.passed is not None for result in results)
    note = "" if applied else "score the outputs under the tasks and metrics that the rules name"
    results.append(RuleResult("at least one rule could be applied", applied > 0, applied, "1 or more", note=note))
    return BenchmarkVerdict(
        passed=all(result.passed is not False for result in results),
        nava_version=importlib.metadata.version("nava"),
        package_sha256=compared.package_sha256,
        champion_package_sha256=compared.champion_package_sha256,
        seed=seed,
        rules=[asdict(rule) for rule in rules],
        results=results,
        candidate=[_evidence(result, rules) for result in compared.candidate.values()],
        champion=[_evidence(result, rules) for result in (compared.champion or {}).values()],
    )


def rule_results(rule: BenchmarkRule, compared: Compared, seed: int) -> list[RuleResult]:
    """What one rule comes to: why it decides nothing, or one result for each thing that it asks for."""
    title = f"{rule.column} on {rule.task}"
    result = compared.candidate.get(rule.task)
    if result is None:
        there = ", ".join(sorted(compared.candidate)) or "none"
        place = f" in {compared.place}" if compared.place else ""
        return [_undecided(rule, title, f"there is no result of this task{place}; there are results of: {there}")]
    figure = result.figures.get(rule.column)
    if figure is None or figure.eligible == 0:
        return [_undecided(rule, title, _why_missing(rule, result, figure))]
    if reason := _undeciding(rule, figure):
        return [_undecided(rule, title, reason, _shown(figure))]
    coverage = f"values for at least {rule.least_coverage:.0%} of the items"
    if not _covers(rule, figure):
        lost = sorted(item for item, row in result.rows.get(rule.column, {}).items() if row.value is None)
        return [RuleResult(title, False, _shown(figure), coverage, lost, figure.reason or "too few items have a value")]
    if figure.n < rule.min_items:
        return [_undecided(rule, title, _too_few(figure.n, "values", rule), _shown(figure))]
    found = []
    if rule.min_coverage is not None:
        found.append(RuleResult(f"{title}: coverage", True, _shown(figure), coverage))
    if rule.minimum is not None or rule.maximum is not None:
        found.append(_bound(rule, title, figure))
    if rule.max_regression is not None:
        found.append(_regression(rule, title, result, compared.champion, seed))
    return found


def _why_missing(rule: BenchmarkRule, result: ResultFiles, figure: Figure | None) -> str:
    if figure is not None:
        return "no item of the benchmark is eligible for this metric"
    if reason := result.absent.get((rule.metric, rule.backend)):
        return f"not measured: {reason}"
    return f"the result has no such figure{_other_backends(rule, result)}"


def _other_backends(rule: BenchmarkRule, result: ResultFiles) -> str:
    others = sorted(figure.backend for figure in result.figures.values() if figure.metric == rule.metric)
    return f", but one by {', '.join(others)}, which is another figure" if others else ""


def _undeciding(rule: BenchmarkRule, figure: Figure) -> str:
    """Why a figure may decide nothing; empty if it may."""
    manifest = catalogue()[rule.metric]
    if (figure.protocol, figure.direction, figure.level) != (manifest.protocol, manifest.direction, manifest.level):
        return f"scored under protocol {figure.protocol}, and this release's is {manifest.protocol}: score again"
    unproven = figure.unproven or not manifest.backend(rule.backend).proven
    if unproven and not rule.allow_unproven:
        return f"backend {rule.backend} is unproven: it has never run on its real weights (allow_unproven lets it)"
    return ""


def _covers(rule: BenchmarkRule, figure: Figure) -> bool:
    return figure.covered and figure.value is not None and _at_least(figure.coverage, rule.least_coverage)


def _bound(rule: BenchmarkRule, title: str, figure: Figure) -> RuleResult:
    value, by_value = figure.value, rule.bound_on == ON_VALUE
    assert value is not None
    what = "" if by_value else " for its whole 95 % interval"
    if rule.minimum is not None:
        expected = f"at least {rule.minimum:g}{what}"
        end = value if by_value else figure.ci_low
        passed = end is not None and _at_least(end, rule.minimum)
    else:
        assert rule.maximum is not None
        expected = f"at most {rule.maximum:g}{what}"
        end = value if by_value else figure.ci_high
        passed = end is not None and _at_least(-end, -rule.maximum)
    note = "" if end is not None else "the figure has no interval, so nothing is shown: bound_on value needs none"
    return RuleResult(f"{title}: bound", passed, _shown(figure), expected, note=note)


def _regression(
    rule: BenchmarkRule, title: str, result: ResultFiles, champion: Mapping[str, ResultFiles] | None, seed: int
) -> RuleResult:
    assert rule.max_regression is not None
    title, level = f"{title}: against the champion", 1 - rule.significance
    loss = f"loss of more than {rule.max_regression:g}"
    shown = f"{100 * level:.4g} % interval of the paired difference"
    expected = f"no {loss} in the {shown}"
    if rule.regression_test != NON_INFERIORITY:
        expected = f"{loss} not shown by the whole {shown}"
    if champion is None:
        return RuleResult(title, None, None, expected, note=NO_CHAMPION)
    theirs = champion.get(rule.task)
    if theirs is None:
        return _undecided(rule, title, "the champion has no result of this task", expected=expected)
    if reason := _incomparable(rule, result, theirs):
        return RuleResult(title, False, None, expected, note=reason)
    if reason := _undecided_champion(rule, theirs):
        return _undecided(rule, title, reason, expected=expected)
    first, second = result.values(rule.column), theirs.values(rule.column)
    common = sorted(first.keys() & second.keys())
    if len(common) < rule.min_items:
        return _undecided(rule, title, _too_few(len(common), "pairs", rule), expected=expected)
    sign = 1.0 if catalogue()[rule.metric].direction == "higher" else -1.0
    difference_N = sign * np.array([first[item] - second[item] for item in common])
    low, high, _ = paired_bootstrap(difference_N, seed, level)
    end = low if rule.regression_test == NON_INFERIORITY else high
    observed = f"better by {difference_N.mean():.4g} [{low:.4g}, {high:.4g}], {len(common)} pairs"
    return RuleResult(title, _at_least(end, -rule.max_regression), observed, expected)


def _incomparable(rule: BenchmarkRule, result: ResultFiles, theirs: ResultFiles) -> str:
    """Why two results are not of the same thing; empty if they are."""
    for name in _SAME:
        ours, other = getattr(result, name), getattr(theirs, name)
        if ours != other:
            return f"not comparable: {name} is {ours}, and the champion's is {other}"
    figure, own = theirs.figures.get(rule.column), result.figures[rule.column]
    if figure is None:
        others = _other_backends(rule, theirs)
        return f"not comparable: the champion has no such figure{others}" if others else ""
    if figure.protocol != own.protocol:
        return f"not comparable: protocol is {own.protocol}, and the champion's is {figure.protocol}"
    if measured_differently([own.backend_sha256, figure.backend_sha256]):
        return "not comparable: the champion was measured by another version or other weights of the backend"
    return "" if _covers(rule, figure) else f"the champion's figure has too few values: {_shown(figure)}"


def _undecided_champion(rule: BenchmarkRule, theirs: ResultFiles) -> str:
    figure = theirs.figures.get(rule.column)
    if figure is None:
        return f"the champion: {_why_missing(rule, theirs, None)}"
    reason = _undeciding(rule, figure)
    return f"the champion: {reason}" if reason else ""


def _undecided(
    rule: BenchmarkRule, title: str, reason: str, observed: str | None = None, expected: str = "a figure that decides"
) -> RuleResult:
    """A broken rule if it is required; else one that does not apply."""
    if rule.required:
        return RuleResult(title, False, observed, expected, note=f"{reason}; the rule is required")
    return RuleResult(title, None, observed, expected, note=f"not applicable: {reason}")


def _too_few(n: int, what: str, rule: BenchmarkRule) -> str:
    return f"{n} {what}, fewer than the {rule.min_items} that decide anything (min_items)"


def _at_least(value: float, bound: float) -> bool:
    """Whether a value reaches a bound, but for the rounding of a sum of decimal fractions."""
    return value >= bound or math.isclose(value, bound, rel_tol=_TOLERANCE, abs_tol=_TOLERANCE)


def _shown(figure: Figure) -> str:
    value = "no value" if figure.value is None else f"{figure.value:.4g}"
    interval = "" if figure.ci_low is None else f" [{figure.ci_low:.4g}, {figure.ci_high:.4g}]"
    mark = ", unproven" if figure.unproven else ""
    return f"{value}{interval}, {figure.n} of {figure.eligible} items{mark}"


def _evidence(result: ResultFiles, rules: Sequence[BenchmarkRule]) -> ResultEvidence:
    columns = {rule.column for rule in rules if rule.task == result.task}
    figures = [asdict(figure) for column, figure in result.figures.items() if column in columns]
    return ResultEvidence(
        model=result.model,
        task=result.task,
        edition=result.edition,
        manifest_sha256=result.manifest_sha256,
        items=result.items,
        summary_sha256=result.summary_sha256,
        rows_sha256=result.rows_sha256,
        figures=figures,
    )


def by_task(results: Sequence[ResultFiles]) -> dict[str, ResultFiles]:
    """Results by task. InputError for two of one task: which of them counts, nobody said."""
    found: dict[str, ResultFiles] = {}
    for result in results:
        if result.task in found:
            first = found[result.task].folder
            raise InputError(f"{first} and {result.folder} are both results of {result.task}: give one of them")
        found[result.task] = result
    return found
