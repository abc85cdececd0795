"""The page of a study's result: what was preferred, how sure that is, and what was left out. One HTML file."""

from __future__ import annotations

from html import escape
from typing import Any

from nava.evaluation.scoring.judgements import Tally
from nava.evaluation.scoring.score import Score
from nava.evaluation.study.aggregate import PairResult, QuestionResult, RaterResult, StudyResult
from nava.pages.charts import Scale, Tone, interval_axis, interval_bar
from nava.pages.formats import DASH, format_fixed, format_share
from nava.pages.shell import render

_GSB_SCALE = Scale(-1.0, 1.0, (-1.0, -0.5, 0.0, 0.5, 1.0))
_SMALL_P = 0.0001


def render_study(result: StudyResult) -> str:
    """The page of a result, which refers to nothing outside itself. All values are escaped."""
    return render(
        "study_result.html.j2",
        title=f"User study {result.study_id}",
        result=result,
        tiles=_tiles(result),
        questions=[_question(question) for question in result.questions],
        axis=interval_axis(_GSB_SCALE),
        raters=[_rater(rater) for rater in result.raters],
        consistency=score_words(result.consistency),
        n_tests=sum(len(question.pairs) for question in result.questions),
    )


def score_words(score: Score, decimals: int = 2) -> tuple[str, str]:
    """A value, and its interval or why there is no value."""
    if score.value is None:
        return DASH, score.reason
    interval = score.interval
    if interval is None:
        return format_fixed(score.value, decimals), ""
    return (
        format_fixed(score.value, decimals),
        f"[{format_fixed(interval.ci_low, decimals)}, {format_fixed(interval.ci_high, decimals)}]",
    )


def p_words(score: Score) -> str:
    """A p-value, never rounded down to nothing."""
    if score.value is None:
        return DASH
    return f"< {_SMALL_P}" if score.value < _SMALL_P else format_fixed(score.value, 4)


def diverging_bar(counts: Tally) -> str:
    """Losses to the left of the middle, wins to the right, ties on it: the bar leans to the side of the better model.

    The whole width is twice the number of judgements, so a bar of wins only reaches from the middle to the right end.
    """
    if not counts.n:
        return ""
    unit = 50 / counts.n
    start = 50 - unit * (counts.losses + counts.ties / 2)
    parts = []
    for label, count, tone in (
        ("losses", counts.losses, "bad"),
        ("ties", counts.ties, "neutral"),
        ("wins", counts.wins, "good"),
    ):
        if count:
            parts.append(
                f'<rect class="tone-{tone}" x="{start:.3f}%" width="{unit * count:.3f}%" height="18">'
                f"<title>{label}: {count}</title></rect>"
            )
        start += unit * count
    label = escape(f"{counts.wins} wins, {counts.ties} ties, {counts.losses} losses", quote=True)
    middle = '<line class="axis" x1="50%" x2="50%" y1="0" y2="100%"/>'
    return (
        f'<svg class="bar" width="100%" height="18" role="img" aria-label="{label}">'
        f'<rect class="bar-track" width="100%" height="18"/>{"".join(parts)}{middle}</svg>'
    )


def _tiles(result: StudyResult) -> list[dict[str, str]]:
    kept = [rater for rater in result.raters if not rater.left_out]
    share, interval = score_words(result.consistency)
    return [
        {
            "label": "Answers counted",
            "value": f"{result.counted:,}",
            "detail": f"{format_share(result.counted, result.answers)} of the {result.answers:,} given",
        },
        {
            "label": "Raters",
            "value": str(len(kept)),
            "detail": f"{len(result.raters) - len(kept)} left out" if len(kept) < len(result.raters) else "all counted",
        },
        {"label": "Models", "value": str(len(result.models)), "detail": ", ".join(result.models)},
        {"label": "Same answer again", "value": share, "detail": interval},
    ]


def _question(question: QuestionResult) -> dict[str, Any]:
    bias = question.side_bias
    return {
        "task": question.task,
        "criterion": question.criterion,
        "n": question.n,
        "pairs": [_pair(pair) for pair in question.pairs],
        "strengths": _strengths(question),
        "no_strengths": question.strengths.reason,
        "left_share": score_words(bias.left_share),
        "left_p": p_words(bias.p),
        "agreement": score_words(question.agreement),
    }


def _pair(pair: PairResult) -> dict[str, Any]:
    interval = pair.gsb_by_case.interval
    # Coloured only where both intervals leave out zero: raters and cases are both samples.
    clear = all(
        score.interval is not None and not score.interval.ci_low <= 0 <= score.interval.ci_high
        for score in (pair.gsb_by_case, pair.gsb_by_rater)
    )
    tone: Tone = "neutral" if not clear or interval is None else "good" if interval.value > 0 else "bad"
    return {
        "model": pair.model,
        "other": pair.other,
        "counts": pair.counts,
        "bar": diverging_bar(pair.counts),
        "gsb": score_words(pair.gsb)[0],
        "by_case": score_words(pair.gsb_by_case)[1],
        "by_rater": score_words(pair.gsb_by_rater)[1],
        "plot": interval_bar(interval.value, interval.ci_low, interval.ci_high, _GSB_SCALE, tone) if interval else "",
        "win_rate": score_words(pair.win_rate),
        "p": p_words(pair.sign_test),
    }


def _strengths(question: QuestionResult) -> list[dict[str, str]]:
    """The models from the strongest to the weakest, on Elo's scale."""
    found = question.strengths
    rows = sorted(zip(found.models, found.elo_M, found.stderr_M, strict=False), key=lambda row: -row[1])
    per_unit = 400 / 2.302585092994046  # Elo points of a natural logarithm
    return [
        {"model": model, "elo": format_fixed(float(elo), 0), "error": format_fixed(float(error) * per_unit, 0)}
        for model, elo, error in rows
    ]


def _rater(rater: RaterResult) -> dict[str, Any]:
    checks = rater.checks_passed + rater.checks_failed
    return {
        "name": rater.rater,
        "answers": rater.answers,
        "checks": f"{rater.checks_passed} of {checks} passed" if checks else "none answered",
        "consistency": score_words(rater.consistency),
        "left_out": rater.left_out,
    }
