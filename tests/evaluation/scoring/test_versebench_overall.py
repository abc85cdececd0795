import pytest

from nava.evaluation.scoring.versebench_overall import BOUNDS, WEIGHTS, normalised, overall_score
from nava.runtime.errors import InputError

WORST = {name: worst for name, (worst, _) in BOUNDS.items()}
BEST = {name: best for name, (_, best) in BOUNDS.items()}
MIDDLE = {name: (worst + best) / 2 for name, (worst, best) in BOUNDS.items()}


@pytest.mark.parametrize(("values", "expected"), [(WORST, 0.0), (BEST, 1.0), (MIDDLE, 0.5)])
def test_the_bounds_are_0_and_1(values, expected):
    score = overall_score(values)
    for part in (score.overall, score.video, score.audio, score.joint, score.other):
        assert part.value == pytest.approx(expected)


def test_weights_add_up():
    assert sum(WEIGHTS.values()) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("best", "expected"),
    [
        (("AS",), 0.2 / 2),
        (("ID",), 0.2 / 2),
        (("FD",), 0.2 / 7),
        (("PC",), 0.2 / 7),
        (("WER",), 0.1 / 2),
        (("LSE-C",), 0.1 / 2),
        (("CS",), 0.2 / 7),  # the harmonic mean with AV-A at 0 stays 0
        (("AV-A",), 0.0),
        (("CS", "AV-A"), 0.2 / 7 + 0.5),
    ],
)
def test_what_each_metric_is_worth(best, expected):
    assert overall_score(WORST | {name: BEST[name] for name in best}).overall.value == pytest.approx(expected)


def test_the_joint_part_is_a_harmonic_mean():
    assert overall_score(MIDDLE | {"CS": 0.25, "AV-A": 0.25}).joint.value == pytest.approx(2 / (1 / 0.25 + 1 / 0.75))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PC", 1.0, 1.0),
        ("PC", 10.0, 0.0),
        ("FD", 0.75, 0.75),
        ("FD", 5.0, 0.0),
        ("KL", 1.0, 0.75),
        ("LSE-C", 12.0, 1.0),
        ("CS", -0.2, 0.0),
        ("WER", 1.7, 0.0),
        ("PQ", 5.5, 0.5),
    ],
)
def test_normalised_and_cut_off(name, value, expected):
    assert normalised(name, value) == pytest.approx(expected)


def test_a_missing_metric_takes_its_part_and_the_whole_with_it():
    score = overall_score({**MIDDLE, "KL": None})
    assert score.overall.value is score.audio.value is None
    assert "KL" in score.audio.reason
    assert "audio" in score.overall.reason
    assert score.video.value == pytest.approx(0.5)
    assert overall_score({}).overall.value is None


@pytest.mark.parametrize("values", [{"AS": float("nan")}, {"aesthetics": 1.0}])
def test_unusable_values_are_refused(values):
    with pytest.raises(InputError):
        overall_score(values)
