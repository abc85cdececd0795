import numpy as np
import pytest

from nava.config.evaluation import EvaluationConfig
from nava.evaluation.evidence import Evidence
from nava.evaluation.metrics.loss import LossValues
from nava.evaluation.plan import GUIDED, REAL, UNTRAINED, choose_families, plan_requests
from nava.evaluation.records import loss_records, sample_records
from tests.evaluation.drawn_clips import FPS, SAMPLES, VOCABULARY, Drawn, flash_clip, heldout, sample_of


def records(n=3, silent=()):
    families = choose_families(heldout("flash", n), EvaluationConfig())
    requests = plan_requests(families, VOCABULARY.attributes, EvaluationConfig(swap_clips=2), 7, with_real=True)

    def drawn(request):
        words = dict(request.words)
        clip = flash_clip(int(request.clip_id[-2:]), words["colour"], words["pitch"])
        return Drawn(clip.frames, np.zeros(SAMPLES, np.float32)) if request.clip_id in silent else clip

    evidence = Evidence(families, [sample_of(request, drawn(request)) for request in requests], VOCABULARY, FPS)
    return list(sample_records(evidence)), evidence


def test_records_carry_the_scores_that_the_metrics_average():
    found, evidence = records()
    scores = evidence.synchrony(GUIDED, evidence.scored)
    for record in found:
        if record.variant == GUIDED and record.changed is None:
            assert record.metrics["sync"] == scores.paired[record.clip_id]
            assert record.metrics["sync_shuffled"] == scores.shuffled[record.clip_id]
            assert record.metrics["onset_f1"] > 0.8
            assert record.metrics["colour_correct"] == record.metrics["pitch_correct"] == 1.0


def test_only_generated_clips_have_a_seed():
    found, _ = records()
    assert all((record.seed is None) == (record.variant not in (GUIDED, "no_align", UNTRAINED)) for record in found)


def test_swaps_name_the_change_and_are_judged_by_the_new_word():
    found, _ = records()
    swaps = [record for record in found if record.changed]
    assert len(swaps) == 4
    for record in swaps:
        attribute = record.changed["attribute"]
        assert record.shown[attribute] == record.changed["new"] != record.changed["old"]
        assert {name for name in record.metrics if name.endswith("_correct")} == {f"{attribute}_correct"}
        assert "sync" not in record.metrics


def test_what_is_undefined_is_null_with_a_reason():
    found, _ = records(silent=("flash01",))
    (record,) = [r for r in found if r.clip_id == "flash01" and r.variant == REAL]
    assert record.metrics["sync"] is None
    assert record.metrics["frequency_hz"] is None
    assert record.metrics["pitch_correct"] == 0.0
    assert record.metrics["colour_correct"] == 1.0
    assert set(record.reasons) == {name for name, value in record.metrics.items() if value is None}
    assert "pitch" not in record.shown


def test_a_single_clip_has_nothing_to_be_shuffled_with():
    found, _ = records(n=1)
    (record,) = [r for r in found if r.variant == REAL]
    assert record.metrics["sync_shuffled"] is None
    assert "no other clip" in record.reasons["sync_shuffled"]


def test_losses_have_a_line_per_clip_and_model():
    clips = {clip.clip_id: clip for clip in heldout("flash", 2)}
    by_modality = {"video": dict.fromkeys(clips, 1.0), "audio": dict.fromkeys(clips, 2.0)}
    found = list(loss_records(LossValues(by_modality, by_modality, {"flash01": 0.5}), clips))
    assert [(r.clip_id, r.variant, r.family, r.seed) for r in found] == [
        ("flash00", "trained_loss", "flash", None),
        ("flash01", "trained_loss", "flash", None),
        ("flash00", "untrained_loss", "flash", None),
        ("flash01", "untrained_loss", "flash", None),
    ]
    assert found[0].metrics == {"loss_video": 1.0, "loss_audio": 2.0}
    assert found[1].metrics["sync_loss_difference"] == pytest.approx(0.5)
    assert "sync_loss_difference" not in found[3].metrics
