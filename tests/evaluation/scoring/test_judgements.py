import numpy as np
import pytest

from nava.evaluation.scoring.judgements import (
    Judgement,
    Tally,
    cluster_gsb,
    gsb,
    side_bias,
    sign_test,
    tally,
    win_rate,
)
from nava.runtime.errors import InputError

# Wins, ties, losses; GSB; win rate and its interval; p (evaluation reference, section 1.9).
PUBLISHED = [
    ((120, 50, 80), 0.16, 0.60, 0.5308, 0.6654, 5.685e-3),
    ((140, 30, 80), 0.24, 0.6364, 0.5710, 0.6971, 6.315e-5),
    ((100, 50, 100), 0.0, 0.5, 0.4314, 0.5686, 1.0),
]


def vote(rater, case, winner, left="ours", right="theirs"):
    choice = {left: "left", right: "right", None: "tie"}[winner]
    return Judgement(rater, case, left, right, choice)


@pytest.mark.parametrize(("counts", "score", "rate", "low", "high", "p"), PUBLISHED)
def test_published_unit_cases(counts, score, rate, low, high, p):
    counts = Tally(*counts)
    assert gsb(counts).value == pytest.approx(score)
    found = win_rate(counts)
    assert found.value == pytest.approx(rate, abs=5e-5)
    assert (found.interval.ci_low, found.interval.ci_high) == pytest.approx((low, high), abs=5e-5)
    assert found.interval.n == counts.wins + counts.losses
    assert sign_test(counts).value == pytest.approx(p, rel=1e-4)


def test_the_sign_test_is_the_binomial_one():
    from scipy.stats import binomtest

    for wins in range(12):
        expected = binomtest(wins, 11).pvalue
        assert sign_test(Tally(wins, 7, 11 - wins)).value == pytest.approx(expected)


def test_nothing_to_count_is_a_reason():
    assert gsb(Tally(0, 0, 0)).value is None
    for ask in (win_rate, sign_test):
        assert ask(Tally(0, 9, 0)).value is None
        assert "none of 9" in ask(Tally(0, 9, 0)).reason
    assert gsb(Tally(0, 9, 0)).value == 0.0


def test_a_tally_does_not_depend_on_sides_and_leaves_other_pairs_out():
    votes = [
        vote("r", "1", "ours"),
        vote("r", "2", "ours", left="theirs", right="ours"),
        vote("r", "3", "theirs", left="theirs", right="ours"),
        vote("r", "4", None),
        vote("r", "5", "ours", left="ours", right="third"),
    ]
    assert tally(votes, "ours", "theirs") == Tally(2, 1, 1)
    assert tally(votes, "theirs", "ours") == Tally(1, 1, 2)
    assert tally(votes, "third", "theirs") == Tally(0, 0, 0)


def test_impossible_judgements_are_refused():
    with pytest.raises(InputError, match="left, right or tie"):
        Judgement("r", "1", "a", "b", "both")
    with pytest.raises(InputError, match="compared with itself"):
        Judgement("r", "1", "a", "a", "tie")
    with pytest.raises(InputError, match="negative"):
        Tally(1, -1, 0)
    with pytest.raises(InputError, match="itself"):
        tally([], "a", "a")


def test_side_bias_is_about_sides_and_not_about_models():
    # "ours" always wins, on either side: no bias.
    fair = [vote("r", str(i), "ours", *(("ours", "theirs") if i % 2 else ("theirs", "ours"))) for i in range(20)]
    assert side_bias(fair).left_share.value == 0.5
    assert side_bias(fair).p.value == 1.0
    biased = [Judgement("r", str(i), *(("a", "b") if i % 2 else ("b", "a")), "left") for i in range(20)]
    found = side_bias([*biased, vote("r", "x", None)])
    assert (found.left, found.right, found.ties, found.left_share.value) == (20, 0, 1, 1.0)
    assert found.p.value == pytest.approx(2 / 2**20)
    assert tally(biased, "a", "b") == Tally(10, 0, 10)


def test_a_cluster_interval_is_wider_where_raters_agree_with_themselves():
    stubborn = [vote(f"r{r}", f"{r}-{c}", "ours" if r % 2 else "theirs") for r in range(10) for c in range(20)]
    by_rater, by_case = (cluster_gsb(stubborn, "ours", "theirs", by, seed=1) for by in ("rater", "case"))
    assert by_rater.value == by_case.value == 0.0
    assert (by_rater.interval.n, by_case.interval.n) == (10, 200)
    widths = [one.interval.ci_high - one.interval.ci_low for one in (by_rater, by_case)]
    # 20 votes of one rater are one vote: the deviation is sqrt(1/10) and not sqrt(1/200).
    assert widths[0] == pytest.approx(2 * 1.96 / np.sqrt(10), rel=0.15)
    assert widths[1] == pytest.approx(2 * 1.96 / np.sqrt(200), rel=0.1)


def test_clusters_weigh_by_their_votes():
    votes = [vote("busy", str(i), "ours") for i in range(9)] + [vote("lazy", "9", "theirs")]
    score = cluster_gsb(votes, "ours", "theirs", "rater", seed=0)
    assert score.value == pytest.approx(0.8)
    # Draws: busy twice 1, both .8, lazy twice -1 (a quarter of them).
    assert (score.interval.ci_low, score.interval.ci_high) == (-1.0, 1.0)


def test_the_interval_depends_on_the_seed_and_not_on_the_order_of_votes():
    draw = np.random.default_rng(0)
    votes = [vote(f"r{i % 7}", str(i), [None, "ours", "theirs"][draw.integers(3)]) for i in range(60)]
    one = cluster_gsb(votes, "ours", "theirs", "rater", seed=3)
    assert one.value == pytest.approx(gsb(tally(votes, "ours", "theirs")).value)  # ties in the denominator
    assert cluster_gsb(votes[::-1], "ours", "theirs", "rater", seed=3) == one
    assert cluster_gsb(votes, "ours", "theirs", "rater", seed=4) != one


def test_one_rater_gives_no_interval_over_raters():
    votes = [vote("r", str(i), "ours") for i in range(5)]
    assert "at least two" in cluster_gsb(votes, "ours", "theirs", "rater", seed=0).reason
    assert cluster_gsb(votes, "ours", "theirs", "case", seed=0).value == 1.0
    assert cluster_gsb([], "ours", "theirs", "case", seed=0).value is None
