from dataclasses import replace

import pytest

from nava.artifacts import evaluation_result
from nava.artifacts.evaluation_result import Estimate
from nava.config.promotion import PromotionConfig
from nava.registry.gate_rules import Evaluated, candidate_rules, champion_rules, evidence_rule, sample_values
from tests.registry.run_folder import GAINS, GAP, metric, result, samples

CONFIG = PromotionConfig()


def outcome(rules):
    return [rule.passed for rule in rules]


def evaluated(gap, *, n=32, label="x", **changes):
    return Evaluated(label, result(metrics=[metric(value=gap, n=n, **changes)]), samples(gap, n))


def test_the_configured_names_are_those_of_the_evaluation():
    assert CONFIG.synchrony_metric == evaluation_result.SYNC_GAP
    assert CONFIG.loss_gain_metrics == [
        evaluation_result.VALIDATION_GAIN_VIDEO,
        evaluation_result.VALIDATION_GAIN_AUDIO,
    ]


def test_a_good_candidate_holds_every_rule_and_the_numbers_are_shown():
    rules = candidate_rules(result(), CONFIG)
    assert outcome(rules) == [True, True, True, True]
    assert rules[0].observed == "0.500 [0.400, 0.600], n 32"
    assert rules[0].expected == "interval above 0.1"


@pytest.mark.parametrize(("gap", "passed"), [(0.25, True), (0.2, False), (0.15, False), (-0.5, False)])
def test_the_lower_end_of_the_gap_decides(gap, passed):
    assert candidate_rules(result(gap), CONFIG)[0].passed is passed


@pytest.mark.parametrize(
    ("low", "high", "passed"), [(-0.1, 0.1, True), (0.0, 0.1, True), (0.02, 0.1, False), (-0.2, -0.1, False)]
)
def test_the_untrained_model_must_show_no_synchrony(low, high, passed):
    measured = metric(baseline_untrained=Estimate((low + high) / 2, low, high, 32))
    rule = candidate_rules(result(metrics=[measured]), CONFIG)[1]
    assert rule.passed is passed
    assert rule.expected == "interval contains 0"


@pytest.mark.parametrize(("gain", "passed"), [(0.11, True), (0.09, False), (-0.3, False)])
def test_each_validation_loss_must_be_lower_than_the_untrained_models(gain, passed):
    rules = candidate_rules(result(metrics=[metric(), metric(GAINS[0], gain), metric(GAINS[1], 0.5)]), CONFIG)
    assert outcome(rules[2:]) == [passed, True]


def test_few_clips_decide_nothing_and_the_reason_is_recorded():
    few = [metric(n=11, baseline_untrained=None), *(metric(name, n=11) for name in GAINS)]
    rules = candidate_rules(result(metrics=few), CONFIG)
    assert outcome(rules) == [None] * 4
    assert all("11 clips, fewer than the 12" in rule.note for rule in rules)
    assert outcome(candidate_rules(result(metrics=few), replace(CONFIG, min_n=11))) == [True, None, True, True]


def test_a_metric_that_is_absent_or_was_skipped_is_not_applicable():
    rules = candidate_rules(result(metrics=[_skipped(primary=False)]), CONFIG)
    assert outcome(rules) == [None] * 4
    assert "no flash clips" in rules[0].note
    assert f"no metric {GAINS[0]}" in rules[2].note


def test_a_primary_metric_that_lost_its_value_breaks_the_rule():
    rules = candidate_rules(result(metrics=[_skipped(primary=True)]), CONFIG)
    assert rules[0].passed is False
    assert "no flash clips" in rules[0].note


def _skipped(primary):
    empty = dict.fromkeys(("value", "ci_low", "ci_high", "n", "coverage", "baseline_untrained"))
    return replace(metric(), status="skipped", reason="no flash clips", primary=primary, **empty)


def test_a_gate_that_saw_nothing_says_no():
    few = candidate_rules(result(metrics=[]), CONFIG)
    assert evidence_rule(few).passed is False
    assert "min_n" in evidence_rule(few).note
    assert evidence_rule(candidate_rules(result(), CONFIG)).passed is True


@pytest.mark.parametrize(("gap", "passed"), [(0.5, True), (0.8, True), (0.45, True), (0.35, False), (0.0, False)])
def test_a_candidate_may_not_be_worse_than_the_champion_by_more_than_the_margin(gap, passed):
    (rule,) = champion_rules(evaluated(gap), evaluated(0.5, label="champion nava v1"), CONFIG, seed=0)
    assert rule.passed is passed
    assert "champion nava v1" in rule.rule
    assert rule.note == "paired over the same prompts"


def test_pairing_sees_a_small_loss_that_the_spread_of_clips_would_hide():
    tight = replace(CONFIG, non_inferiority_margin=0.01)
    (paired,) = champion_rules(evaluated(0.48), evaluated(0.5), tight, seed=0)
    assert paired.passed is False
    assert paired.observed.startswith("-0.020 [-0.020, -0.020]")


def test_without_common_prompts_the_intervals_are_compared_instead():
    champion = evaluated(0.5)
    elsewhere = [replace(sample, prompt=f"other {i}") for i, sample in enumerate(champion.samples)]
    (rule,) = champion_rules(evaluated(0.5), replace(champion, samples=elsewhere), CONFIG, seed=0)
    assert rule.note.startswith("unpaired")
    # Two intervals of +-0.1 make one of +-0.141, which reaches below the margin of 0.1.
    assert rule.passed is False
    wide = replace(CONFIG, non_inferiority_margin=0.15)
    (rule,) = champion_rules(evaluated(0.5), replace(champion, samples=elsewhere), wide, seed=0)
    assert rule.passed is True


def test_for_a_metric_where_lower_is_better_the_sign_turns():
    (worse,) = champion_rules(evaluated(0.8, direction="lower"), evaluated(0.5, direction="lower"), CONFIG, seed=0)
    (better,) = champion_rules(evaluated(0.2, direction="lower"), evaluated(0.5, direction="lower"), CONFIG, seed=0)
    assert (worse.passed, better.passed) == (False, True)


def test_two_protocols_do_not_compare_and_the_gate_says_no():
    (rule,) = champion_rules(evaluated(0.9), evaluated(0.5, protocol="corr.v0"), CONFIG, seed=0)
    assert rule.passed is False
    assert rule.observed == "corr.v0 against corr.v1"


def test_few_clips_compare_nothing():
    (rule,) = champion_rules(evaluated(0.9, n=5), evaluated(0.5, label="the champion"), CONFIG, seed=0)
    assert rule.passed is None
    (rule,) = champion_rules(evaluated(0.9), evaluated(0.5, n=5, label="the champion"), CONFIG, seed=0)
    assert rule.note.startswith("the champion: not applicable")


def test_sample_values_take_the_metrics_own_clips_only():
    record = samples(0.5, 1)[0]
    others = [
        replace(record, clip_id="a", family="ball"),
        replace(record, clip_id="b", variant="untrained"),
        replace(record, clip_id="c", changed={"attribute": "colour", "old": "red", "new": "blue"}),
        replace(record, clip_id="d", metrics={"sync": 0.4, "sync_shuffled": None}),
        replace(record, clip_id="e", metrics={}),
    ]
    found = sample_values([record, *others], metric(), ["sync", "sync_shuffled"])
    assert found == {"clip0/prompt 0": pytest.approx(0.4)}
    assert metric().name == GAP
