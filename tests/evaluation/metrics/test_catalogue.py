import pytest

from nava.artifacts import evaluation_result as names
from nava.config.evaluation import EvaluationConfig
from nava.evaluation.evidence import Evidence
from nava.evaluation.metric import evaluate_metric
from nava.evaluation.metrics.catalogue import all_metrics
from nava.evaluation.metrics.loss import LossValues
from nava.evaluation.plan import NO_ALIGN, UNTRAINED, choose_families, plan_requests
from nava.evaluation.vocabulary import Vocabulary
from tests.evaluation.drawn_clips import FPS, VOCABULARY, flash_clip, heldout, noise_clip, sample_of

NO_LOSSES = LossValues({"video": {}, "audio": {}}, {"video": {}, "audio": {}}, {})


def losses(n):
    clips = [f"flash{i:02}" for i in range(n)]
    trained = {clip: 0.5 + 0.01 * i for i, clip in enumerate(clips)}
    untrained = {clip: 2.0 + 0.01 * i for i, clip in enumerate(clips)}
    return LossValues(
        {"video": trained, "audio": trained},
        {"video": untrained, "audio": untrained},
        dict.fromkeys(clips, 0.1),
    )


def drawn_for(request, deaf):
    number = int(request.clip_id[-2:])
    if request.variant == UNTRAINED:
        return noise_clip(number)
    words = dict(request.words)
    if deaf and request.changed:
        words[request.attribute] = request.changed[0]
    return flash_clip(
        number,
        words.get("colour", "red"),
        words.get("pitch", "low"),
        delay_s=0.1 if request.variant == NO_ALIGN else 0.0,
    )


def entries(n_flash=12, n_talk=6, deaf=False, vocabulary=VOCABULARY, loss_values=None):
    config = EvaluationConfig(swap_clips=6)
    families = choose_families(heldout("flash", n_flash) + heldout("talk", n_talk), config)
    requests = plan_requests(families, vocabulary.attributes, config, 7, with_real=True)
    samples = [sample_of(request, drawn_for(request, deaf)) for request in requests]
    found = all_metrics(Evidence(families, samples, vocabulary, FPS), loss_values or losses(n_flash))
    return {metric.name: evaluate_metric(metric, EvaluationConfig(), 1) for metric in found}


@pytest.fixture(scope="module")
def perfect():
    return entries()


def test_a_perfect_model_has_a_gap_above_a_tenth_and_the_untrained_one_none(perfect):
    gap = perfect[names.SYNC_GAP]
    assert gap.ci_low > 0.1
    assert gap.baseline_untrained.ci_low < 0.1
    assert abs(gap.baseline_untrained.value) < 0.15
    assert gap.reference_real.value == pytest.approx(gap.value)
    assert gap.primary


def test_synchrony_stands_beside_shuffled_sound(perfect):
    sync = perfect[names.SYNC]
    assert sync.value > 0.9
    assert sync.baseline_shuffled.ci_high < sync.ci_low
    assert sync.value - sync.baseline_shuffled.value == pytest.approx(perfect[names.SYNC_GAP].value)
    assert perfect[names.ONSET_F1].value > 0.9
    assert perfect[names.ONSET_F1_GAP].ci_low > 0.1


def test_alignment_guidance_is_the_paired_difference_of_the_gaps(perfect):
    gain = perfect[names.ALIGN_GAIN]
    assert gain.ci_low > 0
    assert gain.value == pytest.approx(perfect[names.SYNC_GAP].value - perfect[names.SYNC_GAP_NO_ALIGN].value)


def test_text_control_of_a_perfect_model_is_complete(perfect):
    for name, chance in ((names.TEXT_COLOUR, 0.25), (names.TEXT_PITCH, 1 / 3)):
        assert perfect[name].value == 1.0
        assert perfect[name].ci_low > perfect[name].chance == pytest.approx(chance)
        assert perfect[name].baseline_untrained.value < 0.8
    for name in (names.SWAP_COLOUR, names.SWAP_PITCH):
        assert (perfect[name].value, perfect[name].n) == (1.0, 6)


def test_a_model_deaf_to_changed_words_fails_the_swap_but_not_the_accuracy():
    found = entries(deaf=True)
    assert found[names.SWAP_COLOUR].value == found[names.SWAP_PITCH].value == 0.0
    assert found[names.TEXT_COLOUR].value == found[names.TEXT_PITCH].value == 1.0


def test_losses_are_compared_with_the_untrained_model(perfect):
    gain = perfect[names.VALIDATION_GAIN_VIDEO]
    assert (gain.value, gain.ci_low, gain.primary) == (pytest.approx(1.5), pytest.approx(1.5), True)
    loss = perfect[names.VALIDATION_AUDIO]
    assert loss.direction == "lower"
    assert loss.baseline_untrained.value == pytest.approx(loss.value + 1.5)
    assert perfect[names.SYNC_LOSS].value == pytest.approx(0.1)


def test_other_families_have_a_gap_of_their_own_name(perfect):
    other = perfect[names.other_gap("talk")]
    assert other.measured
    assert not other.primary
    assert other.reference_real is not None
    assert "motion" in other.protocol
    assert "syncnet" not in " ".join(perfect).lower()


@pytest.mark.parametrize(("n_flash", "n_talk"), [(0, 0), (1, 0), (2, 1), (0, 2)])
def test_too_few_clips_skip_every_metric_with_a_reason_and_nothing_crashes(n_flash, n_talk):
    found = entries(n_flash, n_talk, loss_values=losses(n_flash) if n_flash else NO_LOSSES)
    assert all(not entry.measured and entry.reason and not entry.primary for entry in found.values())


def test_without_words_there_is_no_text_control_to_measure():
    found = entries(vocabulary=Vocabulary({}, {}))
    assert not found[names.TEXT_COLOUR].measured
    assert found[names.TEXT_COLOUR].chance is None
    assert found[names.SYNC_GAP].measured


def test_the_gate_looks_at_the_gap_and_both_loss_gains(perfect):
    primary = {name for name, entry in perfect.items() if entry.primary}
    assert primary == {names.SYNC_GAP, names.VALIDATION_GAIN_VIDEO, names.VALIDATION_GAIN_AUDIO}


def test_the_same_clips_give_the_same_numbers(perfect):
    assert entries() == perfect
