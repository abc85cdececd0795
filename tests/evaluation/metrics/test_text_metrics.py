import pytest

from nava.artifacts import evaluation_result as names
from nava.evaluation.evidence import Evidence, Sample
from nava.evaluation.measures import Measures
from nava.evaluation.metrics.text import text_metrics
from nava.evaluation.plan import GUIDED, UNTRAINED, Family, Request
from nava.evaluation.vocabulary import Vocabulary

VOCABULARY = Vocabulary({"red": (200.0, 0.0, 0.0), "blue": (0.0, 0.0, 200.0)}, {"low": 300.0, "high": 1700.0})
FLASH = Family("flash", 9, (), scored=True)


def sample(clip_id, words, colour, frequency, variant=GUIDED, attribute="", changed=None):
    rgb = None if colour is None else VOCABULARY.colours[colour]
    measures = Measures((0.0,), (0.0,), (0.0,), rgb, frequency, 0.0)
    request = Request(clip_id, "flash", variant, "p", 0, tuple(words.items()), attribute, changed)
    return Sample(request, measures)


def values(samples):
    evidence = Evidence([FLASH], samples, VOCABULARY, 24)
    return {metric.name: metric for metric in text_metrics(evidence, FLASH)}


def test_accuracy_counts_the_words_that_the_clip_shows():
    found = values(
        [
            sample("a", {"colour": "red", "pitch": "low"}, "red", 310.0),
            sample("b", {"colour": "red", "pitch": "low"}, "blue", 1500.0),
        ]
    )
    assert found[names.TEXT_COLOUR].values() == {"a": 1.0, "b": 0.0}
    assert found[names.TEXT_PITCH].values() == {"a": 1.0, "b": 0.0}
    assert found[names.TEXT_COLOUR].untrained() == {}


def test_captions_that_name_nothing_are_not_eligible():
    found = values([sample("a", {"pitch": "low"}, "red", 310.0), sample("b", {}, "red", 310.0)])
    assert found[names.TEXT_COLOUR].values() == {}
    assert found[names.TEXT_PITCH].values() == {"a": 1.0}


def test_a_clip_in_which_nothing_can_be_measured_is_wrong_not_missing():
    found = values([sample("a", {"colour": "red", "pitch": "low"}, None, None)])
    assert found[names.TEXT_COLOUR].values() == found[names.TEXT_PITCH].values() == {"a": 0.0}


def test_swaps_are_judged_by_the_new_word_and_kept_out_of_the_accuracy():
    swap = {"attribute": "colour", "changed": ("red", "blue")}
    found = values(
        [
            sample("a", {"colour": "red"}, "red", 310.0),
            sample("a", {"colour": "blue"}, "blue", 310.0, **swap),
            sample("b", {"colour": "blue"}, "red", 310.0, **swap),
        ]
    )
    assert found[names.TEXT_COLOUR].values() == {"a": 1.0}
    assert found[names.SWAP_COLOUR].values() == {"a": 1.0, "b": 0.0}
    assert found[names.SWAP_PITCH].values() == {}


def test_baselines_are_those_of_their_variant():
    found = values(
        [sample("a", {"colour": "red"}, "blue", 310.0, UNTRAINED), sample("a", {"colour": "red"}, "red", 310.0)]
    )
    assert found[names.TEXT_COLOUR].untrained() == {"a": 0.0}
    assert found[names.TEXT_COLOUR].values() == {"a": 1.0}


@pytest.mark.parametrize("name", [names.TEXT_COLOUR, names.TEXT_PITCH, names.SWAP_COLOUR, names.SWAP_PITCH])
def test_all_are_shares_with_their_chance(name):
    metric = values([])[name]
    assert metric.share
    assert metric.chance == 0.5
    assert metric.direction == "higher"
