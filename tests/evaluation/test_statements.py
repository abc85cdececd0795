import pytest

from nava.artifacts import evaluation_result as names
from nava.artifacts.evaluation_result import Estimate, MetricEntry
from nava.evaluation.plan import Family
from nava.evaluation.statements import family_statements

FLASH, TALK = Family("flash", 30, (), scored=True), Family("talk", 9, (), scored=False)


def entry(name, low, real_low=0.4, **changes):
    fields = {"value": low + 0.1, "ci_low": low, "ci_high": low + 0.2, "n": 9, "status": "ok"}
    fields["reference_real"] = None if real_low is None else Estimate(real_low + 0.1, real_low, real_low + 0.2, 9)
    shared = {"label": "", "description": "", "protocol": "p", "backend": "b", "direction": "higher", "unit": "r"}
    return MetricEntry(name=name, eligible=9, **(shared | fields | changes))


def statement(metric, family=TALK):
    (found,) = family_statements([family], [metric], min_gap=0.1)
    return found


@pytest.mark.parametrize(
    ("low", "real_low", "learned", "says"),
    [
        (0.11, 0.4, True, "Talk: learned"),
        (0.1, 0.4, False, "Talk: not learned"),
        (-0.1, 0.11, False, "real clips 0.21 [0.11, 0.31]"),
        (-0.1, 0.1, None, "cannot be told"),
        (-0.1, None, None, "not measured"),
        (0.2, None, True, "0.30 [0.20, 0.40] over 9 prompts"),
    ],
)
def test_a_family_is_learned_when_the_interval_lies_above(low, real_low, learned, says):
    found = statement(entry(names.other_gap("talk"), low, real_low))
    assert found.learned is learned
    assert says in found.text


def test_the_codecs_stand_for_the_real_clips_where_there_are_none():
    metric = entry(names.other_gap("talk"), -0.1, None, reference_codec=Estimate(0.5, 0.3, 0.7, 9))
    assert statement(metric).learned is False


def test_the_scored_family_goes_by_its_own_metric():
    assert statement(entry(names.SYNC_GAP, 0.5), FLASH).learned is True


def test_a_family_that_was_not_measured_says_why():
    none = dict.fromkeys(("value", "ci_low", "ci_high", "n", "reference_real"))
    metric = entry(names.other_gap("talk"), 0.0, **none, status="skipped", reason="needs at least 5 clips: there are 2")
    found = statement(metric)
    assert found.learned is None
    assert "there are 2" in found.text
