"""Every answer is counted or left out with a reason, and what is counted gives the figures known beforehand."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from nava.evaluation.study.aggregate import (
    ALL_TASKS,
    IS_CHECK,
    IS_REPEAT,
    NOT_PLAYED,
    RATER_LEFT_OUT,
    SUPERSEDED,
    StudyResult,
    aggregate,
)
from nava.evaluation.study.study_file import ALIGNMENT, ATTENTION, BROKEN, OVERALL, REPEAT
from nava.evaluation.study.votes import Vote
from nava.runtime.errors import InputError
from tests.evaluation.study.small_study import both_criteria, vote

OURS, OTHER, THIRD = "ours", "other", "third"


def outcomes(wins: int, ties: int, losses: int, other: str = OTHER, **values: Any) -> list[Vote]:
    """Votes on OURS against another model, a case each, with sides in turn."""
    votes = []
    for number, winner in enumerate([OURS] * wins + [""] * ties + [other] * losses):
        sides = (OURS, other) if number % 2 else (other, OURS)
        choice = "tie" if not winner else "left" if sides[0] == winner else "right"
        made: dict[str, Any] = {"case": f"{other}{number}", "item_id": f"{other}{number}", "choice": choice}
        votes.append(vote(f"r{number % 20}", left_model=sides[0], right_model=sides[1], **(made | values)))
    return votes


def check(rater: str, choices: Sequence[str], *, broken: str = "left", number: int = 0) -> list[Vote]:
    """Answers to an attention check, a criterion each."""
    models = {"left_model": BROKEN, "right_model": OURS}
    models = models if broken == "left" else {"left_model": OURS, "right_model": BROKEN}
    criteria = (OVERALL, ALIGNMENT)[: len(choices)]
    return [
        vote(rater, "t0", choice, kind=ATTENTION, item_id=f"check{number}", criterion=criterion, **models)
        for criterion, choice in zip(criteria, choices, strict=True)
    ]


def accounts(result: StudyResult) -> None:
    assert result.counted + sum(result.left_out.values()) == result.answers
    assert sum(rater.answers for rater in result.raters) == result.counted


@pytest.mark.parametrize(
    ("counts", "gsb", "share", "low", "high", "p"),
    [
        ((120, 50, 80), 0.16, 0.60, 0.5308, 0.6654, 5.685e-3),
        ((140, 30, 80), 0.24, 0.6364, 0.5710, 0.6971, 6.315e-5),
        ((100, 50, 100), 0.0, 0.5, 0.4314, 0.5686, 1.0),
    ],
)
def test_the_figures_of_the_reference(
    counts: tuple[int, int, int], gsb: float, share: float, low: float, high: float, p: float
) -> None:
    """Section 1.9 of the evaluation reference."""
    result = aggregate(outcomes(*counts), models=[OURS])
    (question,) = result.questions
    (pair,) = question.pairs
    assert (pair.model, pair.other) == (OURS, OTHER)
    assert (pair.counts.wins, pair.counts.ties, pair.counts.losses) == counts
    assert pair.gsb.value == pytest.approx(gsb)
    assert pair.win_rate.interval is not None
    assert pair.win_rate.value == pytest.approx(share, abs=5e-5)
    assert pair.win_rate.interval.ci_low == pytest.approx(low, abs=5e-5)
    assert pair.win_rate.interval.ci_high == pytest.approx(high, abs=5e-5)
    assert pair.sign_test.value == pytest.approx(p, rel=1e-3)
    assert pair.gsb_by_case.interval is not None
    assert pair.gsb_by_rater.interval is not None
    assert (pair.gsb_by_case.interval.n, pair.gsb_by_rater.interval.n) == (250, 20)
    accounts(result)


def test_wins_are_those_of_the_model_named_first() -> None:
    votes = outcomes(3, 1, 1)
    assert aggregate(votes, models=[OURS]).questions[0].pairs[0].counts.wins == 3
    assert aggregate(votes, models=[OTHER]).questions[0].pairs[0].counts.wins == 1
    assert aggregate(votes).models == (OTHER, OURS)
    assert aggregate(votes, models=["nobody", OURS]).models == (OURS, OTHER)


def test_questions_and_tasks_are_counted_apart_and_tasks_together_too() -> None:
    votes = [
        *outcomes(2, 0, 0),
        *outcomes(0, 0, 3, criterion=ALIGNMENT),
        *outcomes(1, 1, 1, task="TI2AV", case="x", item_id="x")[:1],
    ]
    result = aggregate(votes, models=[OURS])
    found = {(question.criterion, question.task): question.n for question in result.questions}
    assert found == {
        (OVERALL, "T2AV"): 2,
        (OVERALL, "TI2AV"): 1,
        (OVERALL, ALL_TASKS): 3,
        (ALIGNMENT, "T2AV"): 3,
        (ALIGNMENT, ALL_TASKS): 3,
    }
    accounts(result)


def test_several_models_have_pairs_and_strengths() -> None:
    votes = [*outcomes(30, 5, 15), *outcomes(25, 5, 20, THIRD)]
    result = aggregate(votes, models=[OURS, OTHER, THIRD])
    (question,) = result.questions
    # The two others never met: they have no row, and a place on the common scale all the same.
    assert [(pair.model, pair.other) for pair in question.pairs] == [(OURS, OTHER), (OURS, THIRD)]
    strengths = dict(zip(question.strengths.models, question.strengths.log_strength_M, strict=True))
    assert strengths[OURS] > strengths[THIRD] > strengths[OTHER]


def test_a_changed_answer_counts_once() -> None:
    result = aggregate([*both_criteria(choice="left"), vote(choice="right")])
    assert result.counted == 2
    assert result.left_out == {SUPERSEDED: 1}
    overall = next(question for question in result.questions if question.criterion == OVERALL)
    assert (overall.side_bias.left, overall.side_bias.right) == (0, 1)
    accounts(result)


def test_answers_before_both_clips_were_played_are_left_out() -> None:
    unknown = vote("bob", played=None)
    result = aggregate([vote(played=False), unknown, vote("cy")])
    assert result.left_out == {NOT_PLAYED: 1}
    assert result.counted == 2
    accounts(result)


@pytest.mark.parametrize(
    ("choices", "broken", "passed", "failed"),
    [
        (["right", "right"], "left", 1, 0),
        (["left", "left"], "right", 1, 0),
        (["tie", "right"], "left", 1, 0),  # without its sound a clip looks as good as before
        (["tie", "tie"], "left", 0, 1),
        (["left", "right"], "left", 0, 1),
        (["left"], "left", 0, 1),
        (["right"], "left", 1, 0),
        (["tie"], "left", 0, 0),  # the second question is open
    ],
)
def test_attention_checks(choices: list[str], broken: str, passed: int, failed: int) -> None:
    votes = [*both_criteria(rater="ann"), *both_criteria(rater="bob"), *check("ann", choices, broken=broken)]
    result = aggregate(votes)
    ann, bob = result.raters
    assert (ann.checks_passed, ann.checks_failed) == (passed, failed)
    assert ann.left_out == (f"failed {failed} of 1 attention checks" if failed else "")
    assert (bob.checks_passed, bob.checks_failed, bob.left_out) == (0, 0, "")
    expected = {RATER_LEFT_OUT: 2 + len(choices)} if failed else {IS_CHECK: len(choices)}
    assert result.left_out == expected
    assert result.counted == (2 if failed else 4)
    accounts(result)


def test_a_failed_check_may_be_allowed() -> None:
    votes = [vote("ann"), *check("ann", ["left", "left"]), *check("ann", ["right", "right"], number=1)]
    assert aggregate(votes).raters[0].left_out == "failed 1 of 2 attention checks"
    assert aggregate(votes, allowed_failures=1).raters[0].left_out == ""
    assert aggregate(votes).counted == 0
    assert aggregate(votes).questions == ()
    assert aggregate(votes, allowed_failures=1).counted == 1


def test_a_repeat_shows_how_steady_a_rater_is_and_does_not_count() -> None:
    swapped = {"left_model": OTHER, "right_model": OURS, "kind": REPEAT}
    plain = {"left_model": OURS, "right_model": OTHER}
    votes = [
        vote("ann", "t0", "left", **plain),
        vote("ann", "t0", "right", item_id="r0", **swapped),  # the same model again
        vote("ann", "t1", "left", **plain),
        vote("ann", "t1", "left", item_id="r1", **swapped),  # the same side, so the other model
        vote("bob", "t0", "tie", **plain),
        vote("bob", "t0", "tie", item_id="r0", **swapped),
        vote("bob", "t2", "tie", item_id="r2", **swapped),  # its first was not answered
    ]
    result = aggregate(votes)
    assert result.left_out == {IS_REPEAT: 4}
    assert result.counted == 3
    ann, bob = result.raters
    assert (ann.consistency.value, bob.consistency.value) == (0.5, 1.0)
    assert result.consistency.value == pytest.approx(2 / 3)
    accounts(result)


def test_raters_who_are_left_out_do_not_move_the_steadiness_of_the_others() -> None:
    swapped = {"left_model": vote().right_model, "right_model": vote().left_model, "kind": REPEAT, "item_id": "r"}
    votes = [vote("ann"), vote("ann", choice="left", **swapped), *check("ann", ["left"]), vote("bob")]
    result = aggregate(votes)
    assert result.raters[0].consistency.value == 0.0
    assert result.consistency.value is None
    assert result.consistency.reason == "no item was judged twice"


def test_checks_and_repeats_that_could_not_be_played_say_nothing() -> None:
    swapped = {"left_model": vote().right_model, "right_model": vote().left_model, "kind": REPEAT, "item_id": "r"}
    unseen = [replace(one, played=False) for one in check("ann", ["left", "left"])]
    result = aggregate([vote("ann"), *unseen, vote("ann", choice="left", played=False, **swapped)])
    (ann,) = result.raters
    assert (ann.checks_failed, ann.left_out, ann.consistency.value) == (0, "", None)
    accounts(result)


def test_a_rater_who_always_chooses_left_is_seen() -> None:
    votes = [one for number in range(20) for one in [vote("ann", f"t{number}", "left")]]
    bias = aggregate(votes).questions[0].side_bias
    assert bias.left_share.value == 1.0
    assert bias.p.value == pytest.approx(2 / 2**20)


def test_agreement_needs_two_raters_on_a_case() -> None:
    assert aggregate([vote("ann", "t0"), vote("bob", "t1")]).questions[0].agreement.value is None
    pairs = [("left", "left"), ("right", "right"), ("tie", "tie")]
    votes = [
        vote(rater, f"t{number}", choice)
        for number, choices in enumerate(pairs)
        for rater, choice in zip(("ann", "bob"), choices, strict=True)
    ]
    assert aggregate(votes).questions[0].agreement.value == pytest.approx(1.0)


def test_a_seed_gives_the_same_interval_and_the_order_of_votes_does_not_matter() -> None:
    votes = outcomes(20, 5, 10)
    one, again = aggregate(votes, seed=3), aggregate(votes[::-1], seed=3)
    assert one.questions[0].pairs[0].gsb_by_rater == again.questions[0].pairs[0].gsb_by_rater
    intervals = {aggregate(votes, seed=seed).questions[0].pairs[0].gsb_by_rater.interval for seed in range(4)}
    assert len(intervals) > 1


def test_votes_must_be_of_one_study() -> None:
    with pytest.raises(InputError, match="votes of one study are wanted; there are none"):
        aggregate([])
    with pytest.raises(InputError, match="these are of autumn, spring"):
        aggregate([vote(), vote(study_id="autumn")])
