"""Operations of a step, and what share of the hardware's they are."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nava.config.lora import LoraConfig
from nava.data.loader.sampler import SampledBatch
from nava.data.loader.tasks import Task
from nava.model.architecture import build_model
from nava.training.speed import Speed
from tests.training.latents_in_memory import TINY_MODEL, LatentsInMemory


def batch(task: Task, *ids: str) -> SampledBatch:
    return SampledBatch(0, task, ids, 0, 0.0, 0)


def speed(processes: int = 1, peak_tflops: float | None = None) -> Speed:
    found = Speed.of(TINY_MODEL, LoraConfig(), LatentsInMemory(), processes, peak_tflops)
    assert found is not None
    return found


@pytest.mark.parametrize(("task", "ids"), [(Task.T2AV, ("p000", "p001")), (Task.T2A, ("s000",))])
def test_operations_are_those_that_torch_counts(task: Task, ids: tuple[str, ...]) -> None:
    model = build_model(TINY_MODEL, seed=0)
    latents = LatentsInMemory().read(list(ids), with_video=task.modality == "av")
    # The counter knows attention only as the two products it is made of.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        model(latents.video_BCTHW, latents.audio_BLC, torch.full((len(ids),), 500.0), latents.text_BND)
    # The backward pass counts as two forward passes.
    assert speed().operations(batch(task, *ids)) == 3 * counter.get_total_flops()


def test_the_share_of_the_peak_is_that_of_each_process() -> None:
    batches = [batch(Task.T2AV, "p000")] * 4
    operations = 4 * speed().operations(batches[0])
    found = speed(2, peak_tflops=1e-3)(batches, 2.0)
    assert found["tflops"] == pytest.approx(operations / 2.0 / 2 / 1e12)
    assert found["mfu"] == pytest.approx(found["tflops"] / 1e-3)


def test_without_a_peak_there_is_no_share() -> None:
    assert set(speed()([batch(Task.T2A, "s000")], 1.0)) == {"tflops"}


def test_operations_of_other_architectures_are_not_guessed() -> None:
    other = replace(TINY_MODEL, architecture="dual_tower")
    assert Speed.of(other, LoraConfig(), LatentsInMemory(), 1, None) is None
