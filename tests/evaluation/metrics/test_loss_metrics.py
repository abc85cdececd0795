import pytest

from nava.artifacts import evaluation_result as names
from nava.evaluation.metrics.loss import LossValues, loss_metrics

LOSSES = LossValues(
    trained={"video": {"a": 0.5, "b": 0.7}, "audio": {"a": 1.0, "b": 2.0}},
    untrained={"video": {"a": 2.0, "b": 2.0}, "audio": {"a": 3.0, "b": 3.5}},
    other_sound_minus_own={"a": 0.1, "b": -0.1},
)


@pytest.fixture
def metrics():
    return {metric.name: metric for metric in loss_metrics(LOSSES)}


def test_gains_are_paired_by_clip_and_primary(metrics):
    assert metrics[names.VALIDATION_GAIN_VIDEO].values() == pytest.approx({"a": 1.5, "b": 1.3})
    assert metrics[names.VALIDATION_GAIN_AUDIO].values() == pytest.approx({"a": 2.0, "b": 1.5})
    assert {name for name, metric in metrics.items() if metric.primary} == {
        names.VALIDATION_GAIN_VIDEO,
        names.VALIDATION_GAIN_AUDIO,
    }
    assert metrics[names.VALIDATION_GAIN_VIDEO].direction == "higher"


def test_each_loss_stands_beside_the_untrained_models_own(metrics):
    video, audio = metrics[names.VALIDATION_VIDEO], metrics[names.VALIDATION_AUDIO]
    assert (video.values(), video.untrained()) == (LOSSES.trained["video"], LOSSES.untrained["video"])
    assert (audio.values(), audio.untrained()) == (LOSSES.trained["audio"], LOSSES.untrained["audio"])
    assert video.direction == audio.direction == "lower"


def test_the_worth_of_the_right_sound_has_no_baseline(metrics):
    metric = metrics[names.SYNC_LOSS]
    assert metric.values() == LOSSES.other_sound_minus_own
    assert metric.untrained is None
