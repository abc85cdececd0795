import numpy as np
import pytest

from nava.evaluation.scoring.agreement import krippendorff_alpha, rater_agreement
from nava.evaluation.scoring.judgements import Judgement
from nava.runtime.errors import InputError


def test_krippendorffs_own_example_with_missing_answers():
    # "Computing Krippendorff's alpha-reliability" (2011), example C: four observers, twelve units; nominal alpha .743.
    raters = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    units = {unit: [row[unit] for row in raters if row[unit] is not None] for unit in range(12)}
    assert krippendorff_alpha(units).value == pytest.approx(0.743, abs=5e-4)


def test_two_observers_by_hand():
    # Krippendorff's example A: ten units, 4 disagreements; 14 zeros, 6 ones: 1 - 19 * 4 / (14 * 6) = .095.
    first, second = "0100000010", "1110010000"
    units = {unit: list(pair) for unit, pair in enumerate(zip(first, second))}
    assert krippendorff_alpha(units).value == pytest.approx(0.095, abs=5e-4)


def test_full_agreement_is_1_and_always_disagreeing_is_below_0():
    assert krippendorff_alpha({1: "aa", 2: "bb", 3: "aaa"}).value == 1.0
    assert krippendorff_alpha({1: "ab", 2: "ab"}).value < 0


def test_chance_is_about_0():
    draw = np.random.default_rng(0)
    units = {unit: draw.choice(["a", "b", "tie"], size=3, p=[0.6, 0.3, 0.1]).tolist() for unit in range(3000)}
    assert krippendorff_alpha(units).value == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize(
    ("units", "reason"), [({}, "two raters"), ({1: "a", 2: "b"}, "none of 2"), ({1: "aa", 2: "aa"}, "the same")]
)
def test_without_a_measure_there_is_a_reason(units, reason):
    score = krippendorff_alpha(units)
    assert score.value is None
    assert reason in score.reason


def test_raters_agree_on_the_model_and_not_on_the_side():
    votes = [
        Judgement("r1", "1", "a", "b", "left"),
        Judgement("r2", "1", "b", "a", "right"),
        Judgement("r1", "2", "a", "b", "tie"),
        Judgement("r2", "2", "b", "a", "tie"),
        Judgement("r1", "3", "a", "b", "right"),
        Judgement("r2", "3", "a", "b", "right"),
        Judgement("r3", "3", "a", "c", "left"),  # another pair of the same case
    ]
    assert rater_agreement(votes).value == 1.0
    assert rater_agreement(votes[:1]).value is None


def test_a_rater_who_judged_twice_is_refused():
    with pytest.raises(InputError, match="'r1' judged case '1' of a and b twice"):
        rater_agreement([Judgement("r1", "1", "a", "b", "left"), Judgement("r1", "1", "b", "a", "right")])
