"""What the votes of a study say: per task, question and pair of models, and which votes and raters were left out.

All statistics are those of `nava.evaluation.scoring`. Every answer that came in is either counted or in `left_out`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import cast

from nava.evaluation.scoring.agreement import rater_agreement
from nava.evaluation.scoring.bradley_terry import Strengths, fit_judgements
from nava.evaluation.scoring.judgements import (
    Choice,
    Judgement,
    SideBias,
    Tally,
    cluster_gsb,
    gsb,
    side_bias,
    sign_test,
    tally,
    win_rate,
)
from nava.evaluation.scoring.score import Score
from nava.evaluation.statistics import wilson
from nava.evaluation.study.study_file import ATTENTION, BROKEN, REPEAT, TIE, VOTE
from nava.evaluation.study.votes import Vote, latest
from nava.runtime.errors import InputError

ALL_TASKS = "all tasks"
SUPERSEDED = "answered again later: the last answer counts"
IS_CHECK = "answers to attention checks"
IS_REPEAT = "answers to repeated items: they show how steady a rater is"
NOT_PLAYED = "not both clips had been played to their end"
RATER_LEFT_OUT = "answers of raters who failed attention checks"


@dataclass(frozen=True)
class RaterResult:
    """A rater: how many answers count, how the attention checks went, how often a repeated item got the same answer.

    `left_out` is the reason, or empty. A check whose questions are not all answered, without a preference, is open: it
    is neither passed nor failed.
    """

    rater: str
    answers: int
    checks_passed: int
    checks_failed: int
    consistency: Score
    left_out: str


@dataclass(frozen=True)
class PairResult:
    """One model against another. `gsb_by_rater` and `gsb_by_case` have the intervals of the cluster bootstrap."""

    model: str
    other: str
    counts: Tally
    gsb: Score
    gsb_by_rater: Score
    gsb_by_case: Score
    win_rate: Score
    sign_test: Score


@dataclass(frozen=True)
class QuestionResult:
    """The answers to one question about the clips of one task."""

    task: str
    criterion: str
    n: int
    pairs: tuple[PairResult, ...]
    strengths: Strengths
    side_bias: SideBias
    agreement: Score


@dataclass(frozen=True)
class StudyResult:
    """Everything a report shows. `answers` is all that came in: those counted and those left out, by reason."""

    study_id: str
    models: tuple[str, ...]
    answers: int
    counted: int
    left_out: dict[str, int]
    raters: tuple[RaterResult, ...]
    questions: tuple[QuestionResult, ...]
    consistency: Score


def aggregate(
    votes: Sequence[Vote], *, models: Sequence[str] = (), allowed_failures: int = 0, seed: int = 0
) -> StudyResult:
    """Count the votes of one study.

    Args:
        votes: as they stand in the file, changed answers included.
        models: the order in which models are named: of a pair, wins are those of the earlier one. Others follow.
        allowed_failures: how many failed attention checks a rater may have and still count.
        seed: of the bootstrap.

    Raises:
        InputError: there are no votes, or they are of several studies.
    """
    studies = sorted({vote.study_id for vote in votes})
    if len(studies) != 1:
        found = f"these are of {', '.join(studies)}" if studies else "there are none"
        raise InputError(f"votes of one study are wanted; {found}")
    settled = latest(votes)
    criteria = list(dict.fromkeys(vote.criterion for vote in settled))
    raters = _raters(settled, len(criteria), allowed_failures)
    excluded = {rater.rater for rater in raters if rater.left_out}
    reasons = [_reason(vote, excluded) for vote in settled]
    counted = [vote for vote, reason in zip(settled, reasons, strict=True) if not reason]
    left_out = Counter(reason for reason in reasons if reason)
    left_out[SUPERSEDED] = len(votes) - len(settled)
    present = {name for vote in counted for name in (vote.left_model, vote.right_model)}
    ordered = [name for name in dict.fromkeys([*models, *sorted(present)]) if name in present]
    return StudyResult(
        study_id=studies[0],
        models=tuple(ordered),
        answers=len(votes),
        counted=len(counted),
        left_out={reason: count for reason, count in sorted(left_out.items()) if count},
        raters=raters,
        questions=_questions(counted, criteria, ordered, seed),
        consistency=_consistency([vote for vote in settled if vote.rater not in excluded]),
    )


def _reason(vote: Vote, excluded: set[str]) -> str:
    """Why an answer does not count, or nothing."""
    if vote.rater in excluded:
        return RATER_LEFT_OUT
    if vote.kind != VOTE:
        return IS_CHECK if vote.kind == ATTENTION else IS_REPEAT
    return "" if _seen(vote) else NOT_PLAYED


def _seen(vote: Vote) -> bool:
    """Whether both clips were played, as far as is known: foreign files do not say."""
    return vote.played is not False


def _judgement(vote: Vote) -> Judgement:
    return Judgement(vote.rater, vote.case_id, vote.left_model, vote.right_model, cast(Choice, vote.choice))


def _questions(
    counted: Sequence[Vote], criteria: Sequence[str], models: Sequence[str], seed: int
) -> tuple[QuestionResult, ...]:
    """Every question that has answers, for each task and for all together."""
    tasks = sorted({vote.task for vote in counted})
    groups = [(task, [vote for vote in counted if vote.task == task]) for task in tasks]
    groups += [(ALL_TASKS, list(counted))] if len(tasks) > 1 else []
    questions = [
        _question(task, criterion, [vote for vote in of_task if vote.criterion == criterion], models, seed)
        for criterion in criteria
        for task, of_task in groups
    ]
    return tuple(question for question in questions if question.n)


def _question(task: str, criterion: str, votes: Sequence[Vote], models: Sequence[str], seed: int) -> QuestionResult:
    judgements = [_judgement(vote) for vote in votes]
    pairs = [_pair(judgements, *pair, seed) for pair in combinations(models, 2)]
    return QuestionResult(
        task=task,
        criterion=criterion,
        n=len(judgements),
        pairs=tuple(pair for pair in pairs if pair.counts.n),
        strengths=fit_judgements(judgements),
        side_bias=side_bias(judgements),
        agreement=rater_agreement(judgements),
    )


def _pair(judgements: Sequence[Judgement], model: str, other: str, seed: int) -> PairResult:
    counts = tally(judgements, model, other)
    return PairResult(
        model=model,
        other=other,
        counts=counts,
        gsb=gsb(counts),
        gsb_by_rater=cluster_gsb(judgements, model, other, "rater", seed),
        gsb_by_case=cluster_gsb(judgements, model, other, "case", seed),
        win_rate=win_rate(counts),
        sign_test=sign_test(counts),
    )


def _raters(settled: Sequence[Vote], n_criteria: int, allowed_failures: int) -> tuple[RaterResult, ...]:
    results = []
    for rater in sorted({vote.rater for vote in settled}):
        own = [vote for vote in settled if vote.rater == rater]
        outcomes = Counter(
            _check_outcomes([vote for vote in own if vote.kind == ATTENTION and _seen(vote)], n_criteria)
        )
        failed, passed = outcomes[False], outcomes[True]
        reason = f"failed {failed} of {failed + passed} attention checks" if failed > allowed_failures else ""
        answers = sum(vote.kind == VOTE and _seen(vote) for vote in own)
        results.append(RaterResult(rater, 0 if reason else answers, passed, failed, _consistency(own), reason))
    return tuple(results)


def _check_outcomes(votes: Iterable[Vote], n_criteria: int) -> list[bool]:
    """Passed or failed, of each check that is decided.

    Passed: the intact clip was preferred in some question and the broken one in none. A picture without its sound may
    look as good as before, so a tie in one question is no failure; ties in all are.
    """
    by_item: dict[str, list[str]] = {}
    for vote in votes:
        intact = "right" if vote.left_model == BROKEN else "left"
        outcome = TIE if vote.choice == TIE else "intact" if vote.choice == intact else "broken"
        by_item.setdefault(vote.item_id, []).append(outcome)
    decided = [found for found in by_item.values() if set(found) != {TIE} or len(found) == n_criteria]
    return ["broken" not in found and "intact" in found for found in decided]


def _consistency(votes: Sequence[Vote]) -> Score:
    """Share of repeated questions that got the same answer, whichever side the models stood on then."""

    def key(vote: Vote) -> tuple[str, str, frozenset[str], str]:
        return vote.rater, vote.case_id, frozenset((vote.left_model, vote.right_model)), vote.criterion

    seen = [vote for vote in votes if _seen(vote)]
    first = {key(vote): _judgement(vote).winner for vote in seen if vote.kind == VOTE}
    again = [vote for vote in seen if vote.kind == REPEAT and key(vote) in first]
    same = [first[key(vote)] == _judgement(vote).winner for vote in again]
    return Score.of(wilson(sum(same), len(same))) if same else Score.missing("no item was judged twice")
