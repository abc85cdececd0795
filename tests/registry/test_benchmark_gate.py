"""Each rule of the gate on benchmark figures, holding and broken at its bound."""

from pathlib import Path
from typing import Any

import pytest

from nava.artifacts.gate_verdict import RuleResult
from nava.config.benchmark_rule import BenchmarkRule
from nava.evaluation.run.result_files import read_result_files
from nava.registry.benchmark_gate import NO_CHAMPION, Compared, by_task, judge, rule_results
from nava.runtime.errors import InputError
from tests.registry.benchmark_files import FLICKER, ITEMS, NOISY, ONSET, SYNC, TASK, benchmark, rule


def compared(candidate: Path, champion: Path | None = None) -> Compared:
    theirs = None if champion is None else {TASK: read_result_files(champion)}
    return Compared(by_task([read_result_files(candidate)]), theirs)


def one(asked: BenchmarkRule, candidate: Path, champion: Path | None = None) -> RuleResult:
    (result,) = rule_results(asked, compared(candidate, champion), seed=0)
    return result


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Onsets 0.6 [0.5, 0.7], flicker 3 [2.9, 3.1]."""
    return benchmark(tmp_path / "mine", {ONSET: [0.6] * ITEMS, FLICKER: [3.0] * ITEMS})


@pytest.mark.parametrize(
    ("column", "changes", "passed"),
    [
        (ONSET, {"minimum": 0.5}, True),
        (ONSET, {"minimum": 0.501}, False),
        (ONSET, {"minimum": 0.6, "bound_on": "value"}, True),
        (ONSET, {"minimum": 0.601, "bound_on": "value"}, False),
        (FLICKER, {"maximum": 3.1}, True),
        (FLICKER, {"maximum": 3.09}, False),
        (FLICKER, {"maximum": 3.0, "bound_on": "value"}, True),
        (FLICKER, {"maximum": 2.99, "bound_on": "value"}, False),
    ],
)
def test_a_bound_is_kept_by_the_worse_end_of_the_interval_or_by_the_value(
    mine: Path, column: str, changes: dict[str, Any], passed: bool
) -> None:
    assert one(rule(column, **changes), mine).passed is passed


def test_what_was_seen_is_shown(mine: Path) -> None:
    result = one(rule(minimum=0.55), mine)
    assert result.observed == "0.6 [0.5, 0.7], 16 of 16 items"
    assert result.expected == "at least 0.55 for its whole 95 % interval"
    assert result.rule == "onset_f1[tracks] on pocket.test.v1: bound"


def test_a_figure_without_an_interval_keeps_no_bound_on_it(tmp_path: Path) -> None:
    folder = benchmark(tmp_path, {ONSET: [0.6] * ITEMS}, half=None)
    assert one(rule(minimum=0.1), folder).passed is False
    assert "has no interval" in one(rule(minimum=0.1), folder).note
    assert one(rule(minimum=0.1, bound_on="value"), folder).passed is True


def against(tmp_path: Path, column: str, worse_by: list[float], **changes: Any) -> RuleResult:
    """A candidate that is worse than its champion by so much on each item."""
    sign = -1 if column == ONSET else 1
    champion = benchmark(tmp_path / "champion", {column: [2.0] * ITEMS})
    candidate = benchmark(tmp_path / "mine", {column: [2.0 + sign * loss for loss in worse_by]})
    return one(rule(column, **changes), candidate, champion)


@pytest.mark.parametrize("column", [ONSET, FLICKER])
@pytest.mark.parametrize("test", ["non_inferiority", "significant_loss"])
@pytest.mark.parametrize(("loss", "passed"), [(0.1, True), (0.101, False), (-5.0, True)])
def test_a_loss_that_is_certain_may_be_as_great_as_the_rule_says(
    tmp_path: Path, column: str, test: str, loss: float, passed: bool
) -> None:
    result = against(tmp_path, column, [loss] * ITEMS, max_regression=0.1, regression_test=test)
    assert result.passed is passed
    assert result.observed == f"better by {-loss:.4g} [{-loss:.4g}, {-loss:.4g}], 16 pairs"


def test_a_loss_that_is_not_significant_is_not_excluded_and_not_shown(tmp_path: Path) -> None:
    excluded = against(tmp_path, ONSET, NOISY, max_regression=0.1)
    assert excluded.passed is False
    assert excluded.expected == "no loss of more than 0.1 in the 95 % interval of the paired difference"
    shown = against(tmp_path, ONSET, NOISY, max_regression=0.1, regression_test="significant_loss")
    assert shown.passed is True
    assert shown.observed == excluded.observed


@pytest.mark.parametrize(("significance", "passed"), [(0.05, False), (0.5, True)])
def test_the_significance_level_decides_how_wide_the_interval_is(
    tmp_path: Path, significance: float, passed: bool
) -> None:
    assert against(tmp_path, ONSET, NOISY, max_regression=0.2, significance=significance).passed is passed


def test_only_items_that_both_have_are_paired(tmp_path: Path) -> None:
    champion = benchmark(tmp_path / "champion", {ONSET: [*[0.5] * 15, None]})
    candidate = benchmark(tmp_path / "mine", {ONSET: [None, *[0.5] * 14, 9.0]})
    result = one(rule(max_regression=0.0), candidate, champion)
    assert (result.passed, result.observed) == (True, "better by 0 [0, 0], 14 pairs")
    few = one(rule(max_regression=0.0, min_items=15), candidate, champion)
    assert few.passed is False
    assert "14 pairs, fewer than the 15" in few.note


def test_without_a_champion_there_is_nothing_to_be_worse_than(mine: Path) -> None:
    bound, regression = rule_results(rule(minimum=0.5, max_regression=0.1), compared(mine), seed=0)
    assert bound.passed is True
    assert (regression.passed, regression.note) == (None, NO_CHAMPION)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": "other.test.v1"}, "task is pocket.test.v1, and the champion's is other.test.v1"),
        ({"edition": "later"}, "edition is test, and the champion's is later"),
        ({"manifest_sha256": "1" * 64}, "manifest_sha256 is 000"),
        ({"items": 17}, "items is 16, and the champion's is 17"),
        ({"figures": {ONSET: {"protocol": "onset_f1.old"}}}, "protocol is onset_f1.motion-rms.80ms.v1, and the champ"),
        ({"figures": {ONSET: {"backend_sha256": "2" * 64}}}, "another version or other weights of the backend"),
        ({"figures": {ONSET: {"covered": False}}}, "the champion's figure has too few values"),
    ],
)
@pytest.mark.parametrize("required", [True, False])
def test_figures_of_different_things_are_not_compared_and_the_gate_says_no(
    tmp_path: Path, mine: Path, changes: dict[str, Any], reason: str, required: bool
) -> None:
    champion = benchmark(tmp_path / "champion", {ONSET: [0.1] * ITEMS}, **changes)
    result = one(rule(max_regression=0.1, required=required), mine, champion)
    assert result.passed is False
    assert reason in result.note


def test_a_champion_measured_by_another_backend_is_not_compared(tmp_path: Path) -> None:
    paper, embedded = "wer.seed_tts[whisper_large_v3]", "wer.seed_tts[pocketsphinx]"
    candidate = benchmark(tmp_path / "mine", {embedded: [0.1] * ITEMS})
    champion = benchmark(tmp_path / "champion", {paper: [0.9] * ITEMS})
    result = one(rule(embedded, max_regression=0.1, required=False), candidate, champion)
    assert result.passed is False
    assert "the champion has no such figure, but one by whisper_large_v3" in result.note


@pytest.mark.parametrize(("required", "passed"), [(True, False), (False, None)])
class TestWhatCannotBeDecided:
    """Broken where the rule is required, not applicable elsewhere; with the reason in both."""

    def test_a_champion_without_the_figure(self, tmp_path: Path, mine: Path, required: bool, passed: bool) -> None:
        champion = benchmark(tmp_path / "champion", {FLICKER: [1.0] * ITEMS})
        result = one(rule(max_regression=0.1, required=required), mine, champion)
        assert result.passed is passed
        assert "the champion: the result has no such figure" in result.note

    def test_a_champion_without_a_result(self, mine: Path, required: bool, passed: bool) -> None:
        both = Compared(by_task([read_result_files(mine)]), {})
        (result,) = rule_results(rule(max_regression=0.1, required=required), both, seed=0)
        assert result.passed is passed
        assert "the champion has no result of this task" in result.note

    def test_no_result_of_the_task(self, mine: Path, required: bool, passed: bool) -> None:
        result = one(rule(minimum=0.1, task="other.v1", required=required), mine)
        assert result.passed is passed
        assert "no result of this task; there are results of: pocket.test.v1" in result.note

    def test_no_such_figure(self, tmp_path: Path, required: bool, passed: bool) -> None:
        asked = rule("wer.seed_tts[pocketsphinx]", maximum=0.9, required=required)
        absent = [{"metric": "wer.seed_tts", "backend": "pocketsphinx", "reason": "package is not installed"}]
        without = benchmark(tmp_path / "a", {ONSET: [0.5] * ITEMS}, absent=absent)
        assert one(asked, without).passed is passed
        assert "not measured: package is not installed" in one(asked, without).note
        other = benchmark(tmp_path / "b", {"wer.seed_tts[whisper_large_v3]": [0.5] * ITEMS})
        assert one(asked, other).passed is passed
        assert "one by whisper_large_v3, which is another figure" in one(asked, other).note

    def test_no_eligible_item(self, tmp_path: Path, required: bool, passed: bool) -> None:
        result = one(rule(minimum=0.1, required=required), benchmark(tmp_path, {ONSET: []}))
        assert result.passed is passed
        assert "no item of the benchmark is eligible" in result.note

    def test_an_unproven_backend(self, tmp_path: Path, required: bool, passed: bool) -> None:
        asked = {"minimum": 1.0, "required": required}
        # What the catalogue knows counts even if the result calls the backend proven.
        for number, mark in enumerate((True, False)):
            changes = {SYNC: {"unproven": mark}}
            folder = benchmark(tmp_path / str(number), {SYNC: [5.0] * ITEMS}, figures=changes)
            assert one(rule(SYNC, **asked), folder).passed is passed
            assert "syncnet_mova is unproven" in one(rule(SYNC, **asked), folder).note
            assert one(rule(SYNC, allow_unproven=True, **asked), folder).passed is True
        scored_before = benchmark(tmp_path / "c", {ONSET: [0.9] * ITEMS}, figures={ONSET: {"unproven": True}})
        assert one(rule(minimum=0.1, required=required), scored_before).passed is passed

    def test_an_unproven_champion(self, tmp_path: Path, mine: Path, required: bool, passed: bool) -> None:
        champion = benchmark(tmp_path / "c", {ONSET: [0.1] * ITEMS}, figures={ONSET: {"unproven": True}})
        result = one(rule(max_regression=0.1, required=required), mine, champion)
        assert result.passed is passed
        assert "the champion: backend tracks is unproven" in result.note

    def test_too_few_items(self, tmp_path: Path, required: bool, passed: bool) -> None:
        folder = benchmark(tmp_path, {ONSET: [0.9] * 11})
        assert one(rule(minimum=0.1, required=required), folder).passed is passed
        assert one(rule(minimum=0.1, required=required, min_items=11), folder).passed is True

    def test_another_protocol_than_this_release_has(self, tmp_path: Path, required: bool, passed: bool) -> None:
        folder = benchmark(tmp_path, {ONSET: [0.9] * ITEMS}, figures={ONSET: {"protocol": "onset_f1.old"}})
        result = one(rule(minimum=0.1, required=required), folder)
        assert result.passed is passed
        assert "score again" in result.note


@pytest.mark.parametrize(
    ("lost", "min_coverage", "passed"), [(1, None, True), (2, None, False), (2, 0.875, False), (1, 0.95, False)]
)
def test_too_few_values_break_a_rule_whether_it_is_required_or_not(
    tmp_path: Path, lost: int, min_coverage: float | None, passed: bool
) -> None:
    folder = benchmark(tmp_path, {ONSET: [*[0.9] * (ITEMS - lost), *[None] * lost]})
    for required in (True, False):
        found = rule_results(rule(minimum=0.1, min_coverage=min_coverage, required=required), compared(folder), seed=0)
        assert all(result.passed for result in found) is passed
    if not passed:
        assert found[0].offending == [f"i{number:02}" for number in range(ITEMS - lost, ITEMS)]


def test_scoring_that_asked_for_little_coverage_does_not_lower_the_gates(tmp_path: Path) -> None:
    """`nava eval score --min-coverage 0` calls any figure covered."""
    folder = benchmark(tmp_path, {ONSET: [*[0.9] * 14, None, None]}, figures={ONSET: {"covered": True}})
    assert one(rule(minimum=0.1), folder).passed is False
    assert one(rule(min_coverage=0.875), folder).passed is True
    assert one(rule(min_coverage=0.876), folder).passed is False


def test_the_verdict_is_no_if_one_rule_is_broken_or_none_could_be_applied(mine: Path) -> None:
    good, bad = rule(minimum=0.5), rule(FLICKER, maximum=3.0)
    absent = rule("wer.seed_tts[pocketsphinx]", maximum=0.5, required=False)
    for rules, passed in (([good], True), ([good, absent], True), ([good, bad], False), ([absent], False)):
        verdict = judge(rules, compared(mine), seed=0)
        assert verdict.passed is passed
    assert verdict.results[-1].rule == "at least one rule could be applied"
    assert verdict.results[-1].passed is False


def test_the_verdict_carries_its_evidence(tmp_path: Path, mine: Path) -> None:
    champion = benchmark(tmp_path / "champion", {ONSET: [0.6] * ITEMS, FLICKER: [3.0] * ITEMS}, model="theirs")
    elsewhere = rule(FLICKER, task="other.v1", maximum=1.0, required=False)
    verdict = judge([rule(max_regression=0.1), elsewhere], compared(mine, champion), seed=3)
    (ours,), (theirs,) = verdict.candidate, verdict.champion
    assert (ours.model, theirs.model, ours.task, verdict.seed) == ("mine", "theirs", TASK, 3)
    assert ours.summary_sha256 != theirs.summary_sha256
    assert ours.rows_sha256 == theirs.rows_sha256, "the same values are the same rows"
    assert [entry["column"] for entry in ours.figures] == [ONSET], "figures that no rule names are no evidence"
    assert ours.figures[0]["unproven"] is False
    assert verdict.rules[0]["max_regression"] == 0.1
    assert verdict.compares
    assert judge([rule(max_regression=0.1), elsewhere], compared(mine, champion), seed=3) == verdict


def test_two_results_of_one_task_are_refused(tmp_path: Path, mine: Path) -> None:
    again = benchmark(tmp_path / "again", {ONSET: [0.6] * ITEMS})
    with pytest.raises(InputError, match=r"both results of pocket\.test\.v1"):
        by_task([read_result_files(folder) for folder in (mine, again)])
