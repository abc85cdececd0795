"""Step time: what it consists of, and how it moves with the settings."""

from dataclasses import replace

import pytest

from nava.config.cluster import ClusterConfig
from nava.config.training import StageConfig
from nava.data.loader.tasks import Task
from nava.training.estimate.communication import Traffic
from nava.training.estimate.duration import StepEstimate, gpu_hours, peak_flops, step_estimate
from nava.training.estimate.operations import forward_operations
from nava.training.estimate.parameters import count_parameters
from nava.training.estimate.settings import RunSettings
from nava.training.estimate.workload import ClipShape, tokens_of
from tests.training.estimate.small_run import large_run, small_run

PAIRED = StageConfig(steps=10, audio_only=0, audio_video=1, warmup_steps=0)
MIXED = replace(PAIRED, audio_only=3)


def estimate(settings: RunSettings, stage: StageConfig = PAIRED) -> StepEstimate:
    return step_estimate(stage, settings, count_parameters(settings.model, settings.training.lora))


def test_a_step_is_the_longer_of_computation_and_hidden_communication_and_the_rest() -> None:
    def seconds(hidden_s: float) -> float:
        return StepEstimate(0, 0, 0, 0, 0, 5.0, Traffic(0, 0, 0, hidden_s, 2.0), 1.0).seconds

    assert (seconds(4.0), seconds(7.0)) == (8.0, 10.0)


def test_computation_of_a_large_model_is_its_operations_at_the_assumed_utilisation() -> None:
    settings = large_run()
    tokens = tokens_of(ClipShape(121, 704, 1280), Task.T2AV, settings)
    forward = forward_operations(settings.model, tokens)
    flops = 16 * (3 * forward.total + forward.linear + forward.attention)
    found = estimate(settings)
    assert found.executed_flops == pytest.approx(flops)
    assert found.model_flops == pytest.approx(16 * 3 * forward.total)
    assert found.compute_s == pytest.approx(flops / (989e12 * 0.4))
    assert (found.video_tokens, found.clips) == (16 * tokens.video, 16)


def test_a_micro_batch_of_sound_alone_takes_as_long_as_reading_the_weights() -> None:
    settings = large_run(micro_batches_per_step=1)
    sound = estimate(settings, replace(PAIRED, audio_only=1, audio_video=0))
    read = 5 * 2 * 6_296_995_520
    assert sound.compute_s == pytest.approx(read / 3350e9)
    assert sound.executed_flops / (989e12 * 0.4) < sound.compute_s


def test_a_mixed_stage_is_the_mean_of_its_parts() -> None:
    settings = large_run()
    sound, paired = (estimate(settings, replace(PAIRED, audio_only=1 - av, audio_video=av)) for av in (0, 1))
    mixed = estimate(settings, MIXED)
    assert mixed.compute_s == pytest.approx(0.75 * sound.compute_s + 0.25 * paired.compute_s)
    assert mixed.video_tokens == pytest.approx(paired.video_tokens / 4)


def test_twice_the_gpus_compute_in_half_the_time() -> None:
    four, eight = (estimate(large_run(ClusterConfig(gpus_per_node=gpus))) for gpus in (4, 8))
    assert four.compute_s == pytest.approx(2 * eight.compute_s)
    assert four.executed_flops == eight.executed_flops


def test_processes_that_share_a_micro_batch_divide_its_time() -> None:
    cluster = ClusterConfig(gpus_per_node=4)
    alone, shared = (estimate(large_run(cluster, sequence_parallel=share)) for share in (1, 4))
    assert alone.compute_s == pytest.approx(shared.compute_s)
    assert shared.traffic.tokens > alone.traffic.tokens == 0


def test_recomputation_costs_a_third_more() -> None:
    kept, again = (estimate(large_run(activation_checkpointing=on)) for on in (False, True))
    assert again.compute_s / kept.compute_s == pytest.approx(4 / 3, rel=0.01)


def test_the_peak_is_that_of_the_precision() -> None:
    assert peak_flops(large_run()) == 989e12
    assert peak_flops(small_run()) == 67e12


def test_gpu_hours_count_every_gpu() -> None:
    assert gpu_hours(1800.0, large_run(ClusterConfig(nodes=2, gpus_per_node=8))) == 8
