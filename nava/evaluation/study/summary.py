"""The result of a study as JSON, for programs::

    {"schema_version": 1, "study_id", "answers", "counted", "left_out": {reason: count}, "models": [...],
     "raters": [{"rater", "answers", "checks_passed", "checks_failed", "consistency": NUMBER, "left_out"}],
     "consistency": NUMBER,
     "questions": [{"task", "criterion", "n",
        "pairs": [{"model", "other", "wins", "ties", "losses", "gsb": NUMBER, "gsb_by_rater", "gsb_by_case",
                   "win_rate", "sign_test"}],
        "strengths": {"models", "log_strength", "stderr", "elo", "tie_weight", "reason"},
        "side_bias": {"left", "right", "ties", "left_share": NUMBER, "p": NUMBER}, "agreement": NUMBER}]}

A NUMBER is {"value", "ci_low", "ci_high", "n", "reason"}: where there is no value it is null, and the reason says why.
"""

from __future__ import annotations

from typing import Any

from nava.evaluation.scoring.score import Score
from nava.evaluation.study.aggregate import PairResult, QuestionResult, StudyResult

SUMMARY_SCHEMA_VERSION = 1


def summary(result: StudyResult) -> dict[str, Any]:
    """The result as plain JSON values."""
    return {
        "schema_version": SUMMARY_SCHEMA_VERSION,
        "study_id": result.study_id,
        "answers": result.answers,
        "counted": result.counted,
        "left_out": result.left_out,
        "models": list(result.models),
        "raters": [
            {
                "rater": rater.rater,
                "answers": rater.answers,
                "checks_passed": rater.checks_passed,
                "checks_failed": rater.checks_failed,
                "consistency": _number(rater.consistency),
                "left_out": rater.left_out,
            }
            for rater in result.raters
        ],
        "consistency": _number(result.consistency),
        "questions": [_question(question) for question in result.questions],
    }


def _question(question: QuestionResult) -> dict[str, Any]:
    strengths, bias = question.strengths, question.side_bias
    return {
        "task": question.task,
        "criterion": question.criterion,
        "n": question.n,
        "pairs": [_pair(pair) for pair in question.pairs],
        "strengths": {
            "models": list(strengths.models),
            "log_strength": strengths.log_strength_M.tolist(),
            "stderr": strengths.stderr_M.tolist(),
            "elo": strengths.elo_M.tolist(),
            "tie_weight": strengths.tie_weight,
            "reason": strengths.reason,
        },
        "side_bias": {
            "left": bias.left,
            "right": bias.right,
            "ties": bias.ties,
            "left_share": _number(bias.left_share),
            "p": _number(bias.p),
        },
        "agreement": _number(question.agreement),
    }


def _pair(pair: PairResult) -> dict[str, Any]:
    return {
        "model": pair.model,
        "other": pair.other,
        "wins": pair.counts.wins,
        "ties": pair.counts.ties,
        "losses": pair.counts.losses,
        "gsb": _number(pair.gsb),
        "gsb_by_rater": _number(pair.gsb_by_rater),
        "gsb_by_case": _number(pair.gsb_by_case),
        "win_rate": _number(pair.win_rate),
        "sign_test": _number(pair.sign_test),
    }


def _number(score: Score) -> dict[str, Any]:
    interval = score.interval
    return {
        "value": score.value,
        "ci_low": interval.ci_low if interval else None,
        "ci_high": interval.ci_high if interval else None,
        "n": interval.n if interval else None,
        "reason": score.reason,
    }
