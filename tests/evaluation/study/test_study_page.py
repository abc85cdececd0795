"""The page of a result shows what was counted, how sure it is, and what was left out."""

import re

import pytest

from nava.evaluation.scoring.judgements import Tally
from nava.evaluation.scoring.score import Score
from nava.evaluation.study.aggregate import aggregate
from nava.evaluation.study.page import diverging_bar, p_words, render_study, score_words
from nava.evaluation.study.study_file import ATTENTION, BROKEN
from tests.evaluation.study.small_study import both_criteria, vote

ATTACK = '"><script>alert(1)</script>'


def parts(svg: str) -> dict[str, tuple[float, float]]:
    """Start and width of the parts of a bar, in per cent, by name."""
    pattern = r'x="([\d.]+)%" width="([\d.]+)%" height="18"><title>(\w+):'
    return {name: (float(start), float(width)) for start, width, name in re.findall(pattern, svg)}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((4, 0, 0), {"wins": (50, 50)}),
        ((0, 0, 4), {"losses": (0, 50)}),
        ((0, 4, 0), {"ties": (25, 50)}),
        ((2, 1, 1), {"losses": (31.25, 12.5), "ties": (43.75, 12.5), "wins": (56.25, 25)}),
    ],
)
def test_a_bar_leans_to_the_side_of_the_better(
    counts: tuple[int, int, int], expected: dict[str, tuple[float, float]]
) -> None:
    drawn = parts(diverging_bar(Tally(*counts)))
    assert drawn.keys() == expected.keys()
    assert all(drawn[name] == pytest.approx(place) for name, place in expected.items())


def test_the_middle_of_a_bar_is_shifted_by_half_of_gsb() -> None:
    drawn = parts(diverging_bar(Tally(120, 50, 80)))
    start = min(at for at, _ in drawn.values())
    end = max(at + width for at, width in drawn.values())
    assert ((start + end) / 2 - 50) / 50 == pytest.approx(0.16 / 2, abs=1e-4)


def test_a_bar_says_its_counts_and_no_votes_have_no_bar() -> None:
    assert 'aria-label="2 wins, 1 ties, 1 losses"' in diverging_bar(Tally(2, 1, 1))
    assert diverging_bar(Tally(0, 0, 0)) == ""


def test_numbers_in_words() -> None:
    assert score_words(Score.missing("no votes")) == ("–", "no votes")
    assert score_words(Score(0.5)) == ("0.50", "")
    assert p_words(Score(0.03456)) == "0.0346"
    assert p_words(Score(1e-9)) == "< 0.0001"
    assert p_words(Score.missing("ties")) == "–"


def test_the_page_shows_counts_intervals_and_what_was_left_out() -> None:
    votes = [one for number in range(6) for one in both_criteria(rater="ann", case=f"t{number}", choice="left")]
    votes += both_criteria(rater="bob", case="t0", choice="tie")
    votes += both_criteria(rater="cy", case="t1")
    votes += [vote("cy", kind=ATTENTION, left_model=BROKEN, choice="left", item_id="check")]
    html = render_study(aggregate(votes))
    # The first model by name lost every time, in both questions.
    assert html.count('aria-label="0 wins, 1 ties, 6 losses"') == 2
    assert "failed 1 of 1 attention checks" in html
    assert "answers of raters who failed attention checks" in html
    assert "17 answers came in; 14 are counted above." in html
    assert "Overall quality · T2AV" in html
    assert "Audio-visual alignment · T2AV" in html
    assert not re.findall(r'(?:src|href)="(?!#|data:)', html)


def test_a_page_without_a_vote_that_counts_says_so() -> None:
    html = render_study(aggregate([vote(played=False)]))
    assert "No answer counts" in html
    assert "not both clips had been played" in html


def test_names_are_escaped() -> None:
    attacked = [
        vote(rater, study_id=ATTACK, criterion=ATTACK, task=ATTACK, left_model=ATTACK, choice=choice)
        for rater, choice in ((ATTACK, "left"), ("bob", "tie"))
    ]
    html = render_study(aggregate(attacked))
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)" in html
