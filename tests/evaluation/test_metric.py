import math
import re

import pytest

from nava.config.evaluation import EvaluationConfig
from nava.evaluation.metric import Metric, difference, evaluate_metric


def metric(values, **changes):
    fields = {
        "name": "m",
        "label": "M",
        "description": "d",
        "protocol": "p",
        "backend": "b",
        "unit": "r",
        "values": lambda: values,
    }
    return Metric(**{**fields, **changes})


def clip_values(*values):
    return {f"c{i}": value for i, value in enumerate(values)}


def evaluate(values, min_clips=3, min_coverage=0.0, **changes):
    return evaluate_metric(
        metric(values, **changes), EvaluationConfig(min_clips=min_clips, min_coverage=min_coverage), 0
    )


def test_a_measured_metric_has_its_mean_interval_n_and_coverage():
    entry = evaluate(clip_values(0.2, 0.4, 0.6, None))
    assert entry.status == "ok"
    assert entry.value == pytest.approx(0.4)
    assert 0.2 <= entry.ci_low < 0.4 < entry.ci_high <= 0.6
    assert (entry.n, entry.eligible, entry.coverage) == (3, 4, 0.75)


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (clip_values(), "needs flashing clips: there are none"),
        (clip_values(0.5, 0.5), "at least 3 flashing clips: there are 2"),
        (clip_values(0.5, None, None, math.nan), "only 1 of 4 clips"),
    ],
)
def test_too_few_values_skip_the_metric_with_the_reason(values, reason):
    entry = evaluate(values, needs="flashing clips")
    assert (entry.status, entry.value, entry.ci_low, entry.n) == ("skipped", None, None, None)
    assert re.search(reason, entry.reason)


def test_a_metric_without_enough_clips_is_not_primary_but_one_that_lost_them_stays_so():
    assert not evaluate(clip_values(0.5, 0.5), primary=True).primary
    lost = evaluate(clip_values(0.5, None, None), primary=True)
    assert lost.primary
    assert not lost.measured
    assert evaluate(clip_values(0.5, 0.5, 0.5), primary=True).primary


@pytest.mark.parametrize(("undefined", "measured"), [(2, True), (3, False)])
def test_a_metric_that_most_clips_lack_does_not_speak_for_the_rest(undefined, measured):
    entry = evaluate(clip_values(*[0.9] * (10 - undefined), *[None] * undefined), min_coverage=0.8, primary=True)
    assert entry.measured is measured
    assert entry.primary
    assert measured or "only 7 of 10 clips have a defined value; at least 3 and 80% must have one" in entry.reason


def test_shares_have_wilson_intervals():
    entry = evaluate(clip_values(*[1.0] * 10), share=True, chance=0.25)
    assert (entry.value, entry.chance) == (1.0, 0.25)
    assert entry.ci_low == pytest.approx(0.7225, abs=1e-4)


def test_baselines_are_estimated_like_the_metric_and_left_out_when_they_cannot_be():
    entry = evaluate(
        clip_values(0.9, 0.9, 0.9),
        untrained=lambda: clip_values(0.0, 0.1, 0.2),
        shuffled=lambda: clip_values(None, None, 0.3),
        real=lambda: clip_values(1.0, 1.0, 1.0),
    )
    assert entry.baseline_untrained.value == pytest.approx(0.1)
    assert entry.baseline_untrained.n == 3
    assert entry.baseline_shuffled is None
    assert entry.reference_codec is None
    assert entry.reference_real.ci_low == 1.0


def test_a_skipped_metric_does_not_measure_its_baselines():
    def never():
        raise AssertionError("measured for nothing")

    assert not evaluate(clip_values(), untrained=never, real=never).measured


def test_differences_are_paired_by_clip():
    first, second = {"a": 1.0, "b": 0.5, "c": None, "d": 1.0}, {"b": 0.25, "a": 0.5, "c": 1.0, "d": math.nan}
    assert difference(first, second) == {"a": 0.5, "b": 0.25, "c": None, "d": None}
    assert difference({"a": 1.0}, {}) == {"a": None}
