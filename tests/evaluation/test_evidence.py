import pytest

from nava.config.evaluation import EvaluationConfig
from nava.evaluation.evidence import Evidence
from nava.evaluation.plan import CODEC, GUIDED, NO_ALIGN, REAL, UNTRAINED, choose_families, plan_requests
from tests.evaluation.drawn_clips import FPS, VOCABULARY, flash_clip, heldout, noise_clip, sample_of


def drawn_for(request, flash_delay_s=0.0):
    """What a perfect model would make, real clips, and noise for the untrained one."""
    number = int(request.clip_id[-2:])
    if request.variant == UNTRAINED:
        return noise_clip(number)
    words = dict(request.words)
    delay = {NO_ALIGN: 0.1, GUIDED: flash_delay_s}.get(request.variant, 0.0)
    return flash_clip(number, words["colour"], words["pitch"], delay_s=delay)


@pytest.fixture(scope="module")
def evidence():
    families = choose_families(heldout("flash", 12) + heldout("talk", 6), EvaluationConfig(other_clips=6))
    requests = plan_requests(families, VOCABULARY.attributes, EvaluationConfig(swap_clips=6), 7, with_real=True)
    return Evidence(families, [sample_of(request, drawn_for(request)) for request in requests], VOCABULARY, FPS)


def test_samples_are_found_by_variant_and_family_without_the_swaps(evidence):
    assert list(evidence.of(GUIDED, "flash")) == [f"flash{i:02}" for i in range(12)]
    assert all(sample.request.changed is None for sample in evidence.of(GUIDED, "flash").values())
    assert len(evidence.of(REAL, "talk")) == 6
    assert evidence.of(NO_ALIGN, "talk") == {}


def test_swaps_are_found_by_attribute(evidence):
    assert len(evidence.swaps("colour")) == len(evidence.swaps("pitch")) == 6
    assert evidence.swaps("side") == []


def test_scores_carry_their_clips_and_are_computed_once(evidence):
    scores = evidence.synchrony(CODEC, evidence.scored)
    assert set(scores.gap) == set(evidence.of(CODEC, "flash"))
    assert evidence.synchrony(CODEC, evidence.scored) is scores
    clip = "flash03"
    assert scores.gap[clip] == pytest.approx(scores.paired[clip] - scores.shuffled[clip])


def test_late_sound_scores_lower_than_sound_in_time(evidence):
    in_time, late = (evidence.synchrony(variant, evidence.scored).gap for variant in (GUIDED, NO_ALIGN))
    assert sum(late.values()) < sum(in_time.values()) - 1.0


def test_a_variant_that_was_not_made_has_no_scores(evidence):
    talk = evidence.families[1]
    assert evidence.synchrony(UNTRAINED, talk).gap == {}
    assert evidence.onsets(UNTRAINED, talk).paired == {}
