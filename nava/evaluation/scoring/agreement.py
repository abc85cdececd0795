"""Do raters agree: Krippendorff's alpha for nominal answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence

from nava.evaluation.scoring.judgements import Judgement
from nava.evaluation.scoring.score import Score
from nava.runtime.errors import InputError


def rater_agreement(judgements: Iterable[Judgement]) -> Score:
    """Krippendorff's alpha of who won, over cases that several raters saw with the same two models.

    It is about the model preferred, not the side. InputError if a rater judged the same case and pair twice: leave
    repeats out, they measure the rater and not agreement. One criterion at a time.
    """
    answers: dict[tuple[str, tuple[str, str]], dict[str, str | None]] = {}
    for one in judgements:
        by_rater = answers.setdefault((one.case, one.models), {})
        if one.rater in by_rater:
            raise InputError(f"rater {one.rater!r} judged case {one.case!r} of {' and '.join(one.models)} twice")
        by_rater[one.rater] = one.winner
    return krippendorff_alpha({unit: list(by_rater.values()) for unit, by_rater in answers.items()})


def krippendorff_alpha(answers_by_unit: Mapping[Hashable, Sequence[Hashable]]) -> Score:
    """Krippendorff's alpha for nominal answers (Krippendorff 2011, "Computing Krippendorff's alpha-reliability").

    1 - observed disagreement / disagreement by chance: 1 is full agreement, 0 chance, negative worse than that.
    Units with one answer pair with nothing and do not count. No value where no unit has two answers, or where all
    answers are the same, since chance would then agree as well.
    """
    observed = 0.0  # weighted number of pairs of unequal answers within units
    totals: Counter[Hashable] = Counter()
    for answers in answers_by_unit.values():
        if len(answers) < 2:
            continue
        counts = Counter(answers)
        totals += counts
        unequal = len(answers) ** 2 - sum(count**2 for count in counts.values())
        observed += unequal / (len(answers) - 1)
    n = sum(totals.values())
    if not n:
        return Score.missing(f"none of {len(answers_by_unit)} cases was judged by two raters or more")
    by_chance = (n**2 - sum(count**2 for count in totals.values())) / (n - 1)
    if not by_chance:
        return Score.missing(f"all {n} answers are the same: agreement cannot be told from a habit")
    return Score(1 - observed / by_chance)
