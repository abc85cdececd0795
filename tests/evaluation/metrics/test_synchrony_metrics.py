import pytest

from nava.artifacts import evaluation_result as names
from nava.evaluation.evidence import Evidence, Sample
from nava.evaluation.measures import Measures
from nava.evaluation.metric import defined
from nava.evaluation.metrics.synchrony import other_metric, scored_metrics
from nava.evaluation.plan import GUIDED, NO_ALIGN, UNTRAINED, Family, Request
from tests.evaluation.drawn_clips import FPS, VOCABULARY

RISING, FALLING, JAGGED = tuple(range(10)), tuple(range(10, 0, -1)), (0, 5, 1, 6, 0, 7, 2, 6, 1, 5)


def sample(clip_id, variant, visual, envelope, family="flash"):
    still = (0.0,) * 10
    tracks = {"brightness": visual, "motion": still} if family == "flash" else {"brightness": still, "motion": visual}
    measures = Measures(**tracks, envelope=envelope, colour_rgb=None, frequency_hz=None, grain=0.0)
    return Sample(Request(clip_id, family, variant, "p", 0), measures)


def metrics_of(samples, family="flash"):
    found = Family(family, 3, (), scored=family == "flash")
    evidence = Evidence([found], samples, VOCABULARY, FPS)
    listed = scored_metrics(evidence, found) if found.scored else [other_metric(evidence, found)]
    return {metric.name: metric for metric in listed}


@pytest.fixture
def metrics():
    together = [sample("a", GUIDED, RISING, RISING), sample("b", GUIDED, JAGGED, JAGGED)]
    apart = [sample("a", NO_ALIGN, RISING, FALLING), sample("b", NO_ALIGN, JAGGED, JAGGED)]
    noise = [sample("a", UNTRAINED, RISING, JAGGED), sample("b", UNTRAINED, JAGGED, RISING)]
    return metrics_of(together + apart + noise)


def test_the_gap_is_own_minus_other_sound_per_clip(metrics):
    own, shuffled = metrics[names.SYNC].values(), metrics[names.SYNC].shuffled()
    assert own == pytest.approx({"a": 1.0, "b": 1.0})
    gap = metrics[names.SYNC_GAP].values()
    assert gap == pytest.approx({clip: own[clip] - shuffled[clip] for clip in ("a", "b")})
    assert metrics[names.SYNC_GAP].shuffled is None


def test_the_align_gain_pairs_the_clips(metrics):
    gain, without = metrics[names.ALIGN_GAIN].values(), metrics[names.SYNC_GAP_NO_ALIGN].values()
    assert set(gain) == {"a", "b"}
    for clip in gain:
        assert gain[clip] == pytest.approx(metrics[names.SYNC_GAP].values()[clip] - without[clip])
    assert gain["a"] > 1.0


def test_baselines_come_from_their_own_variants(metrics):
    assert metrics[names.SYNC].untrained()["a"] < 0.9
    assert defined(metrics[names.SYNC].real()) == {}
    assert metrics[names.SYNC_GAP_NO_ALIGN].codec is None


def test_only_the_gap_is_primary_and_every_metric_says_its_protocol(metrics):
    assert [name for name, metric in metrics.items() if metric.primary] == [names.SYNC_GAP]
    protocols = {name: metric.protocol for name, metric in metrics.items()}
    assert protocols[names.ONSET_F1] == protocols[names.ONSET_F1_GAP] != protocols[names.SYNC]
    assert all(metric.backend and metric.description and metric.unit for metric in metrics.values())


def test_other_families_are_followed_by_motion():
    samples = [sample("a", GUIDED, RISING, RISING, "talk"), sample("b", GUIDED, JAGGED, JAGGED, "talk")]
    (metric,) = metrics_of(samples, "talk").values()
    assert metric.name == names.other_gap("talk") == "av_envelope_corr_talk_gap"
    assert min(defined(metric.values()).values()) > 0.0
    assert metric.family == "talk"
