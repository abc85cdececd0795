"""Memory by part, by hand for the released model."""

from typing import Any

import pytest
import torch
from torch import nn

from nava.config.cluster import ClusterConfig
from nava.config.lora import LoraConfig
from nava.training.deepspeed_engine import _deepspeed_config
from nava.training.estimate.memory import Memory, memory_of
from nava.training.estimate.parameters import Parameters, count_parameters
from nava.training.estimate.settings import RunSettings
from nava.training.estimate.workload import largest_micro_batch
from tests.training.estimate.small_run import large_run, small_run

COUNT = 6_296_995_520
EIGHT = ClusterConfig(gpus_per_node=8)


def memory(settings: RunSettings, parameters: Parameters | None = None) -> Memory:
    counted = parameters or count_parameters(settings.model, settings.training.lora)
    return memory_of(settings, counted, largest_micro_batch(settings))


@pytest.mark.parametrize(
    ("stage", "weights", "gradients", "optimizer", "update"),
    [
        (1, 2 * COUNT, 2 * COUNT, 12 * COUNT / 8, 4 * COUNT / 8),
        (2, 2 * COUNT, 4 * COUNT / 8, 12 * COUNT / 8, 4 * COUNT / 8),
        (3, 2 * COUNT / 8, 4 * COUNT / 8, 12 * COUNT / 8, 4 * COUNT / 8),
    ],
)
def test_zero_shares_more_with_each_stage(
    stage: int, weights: float, gradients: float, optimizer: float, update: float
) -> None:
    found = memory(large_run(EIGHT, zero_stage=stage))
    assert found.always["weights"] == weights
    assert found.always["gradients"] == gradients
    assert found.always["optimizer (Adam moments, float32 weights)"] == optimizer
    assert found.always["moving average"] == 4 * COUNT / 8
    assert found.update == {"float32 gradients": update}
    assert (found.backward["gathered weights"] > 0) == (stage == 3)


def test_float32_without_zero_is_what_the_optimizer_of_torch_holds() -> None:
    settings = small_run(zero_stage=0, engine="plain")
    model = nn.Linear(30, 40)
    count = sum(p.numel() for p in model.parameters())
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 30)).sum().backward()
    optimizer.step()
    moments = sum(
        value.numel() * value.element_size()
        for state in optimizer.state.values()
        for name, value in state.items()
        if name != "step"
    )
    found = memory(settings, Parameters({"all layers": count}, count))
    assert found.always["optimizer (Adam moments, float32 weights)"] == moments
    assert found.always["weights"] == found.always["gradients"] == 4 * count
    assert found.always["communication buckets"] == 0


def test_the_peak_is_of_the_larger_moment() -> None:
    found = Memory({"a": 10.0}, {"b": 3.0, "c": 2.0}, {"d": 4.0}, reserve=1.0, capacity=16.0)
    assert (found.peak, found.fits, found.largest()) == (16.0, True, "a")
    assert found.parts() == {"a": 10.0, "b": 3.0, "c": 2.0}
    found = Memory({"a": 10.0}, {"b": 3.0}, {"d": 40.0}, reserve=1.0, capacity=16.0)
    assert (found.peak, found.fits, found.largest()) == (51.0, False, "d")


@pytest.mark.parametrize("change", [{"zero_stage": 3}, {"zero_stage": 2}, {"sequence_parallel": 2}])
def test_what_should_save_memory_does(change: dict[str, Any]) -> None:
    settings = large_run(EIGHT)
    assert memory(settings.with_training(**change)).peak < memory(settings).peak


def test_adapters_need_an_optimizer_of_their_own_size_only() -> None:
    settings = large_run(lora=LoraConfig(rank=16))
    parameters = count_parameters(settings.model, settings.training.lora)
    found = memory(settings, parameters)
    assert found.always["optimizer (Adam moments, float32 weights)"] == 12 * parameters.adapters
    assert found.always["weights"] == 2 * (COUNT + parameters.adapters)


@pytest.mark.parametrize("count", [1_000, 100_000_000, COUNT])
def test_buckets_are_as_large_as_the_engine_makes_them(count: int) -> None:
    settings = large_run(EIGHT)
    zero = _deepspeed_config(settings.training, 1, count)["zero_optimization"]
    found = memory(settings, Parameters({"all layers": count}, count))
    # Two of them, in bfloat16.
    assert found.always["communication buckets"] == 2 * 2 * zero["reduce_bucket_size"]
