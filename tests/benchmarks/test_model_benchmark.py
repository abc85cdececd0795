"""The benchmark compares what it says: the same arithmetic on both sides."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from nava.model.backbone import NavaTransformer

PATH = Path(__file__).parents[2] / "benchmarks" / "model.py"
VIDEO, AUDIO = (48, 2, 4, 6), (5, 128)


@pytest.fixture(scope="module")
def benchmark_module():
    spec = importlib.util.spec_from_file_location("benchmark_of_the_model", PATH)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def model(benchmark_module):
    built = NavaTransformer(replace(benchmark_module.CONFIG, dim=32, ffn_dim=64, num_heads=2, text_len=6, text_dim=8))
    torch.nn.init.normal_(built.head.head.weight, std=0.1)
    return built.eval()


def operations(call):
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops()


@pytest.mark.parametrize("with_text", [False, True])
@torch.no_grad()
def test_bare_products_are_those_of_the_forward_pass(benchmark_module, model, with_text):
    inputs = benchmark_module.make_inputs(model.config, VIDEO, AUDIO)
    text = inputs.text if with_text else model.prepare(inputs.text)
    expected = operations(lambda: model(*inputs.arguments[:3], text))
    assert operations(benchmark_module.Skeleton(model, inputs, with_text=with_text)) == expected


def test_bare_products_backwards_are_those_of_training(benchmark_module, model):
    inputs = benchmark_module.make_inputs(model.config, VIDEO, AUDIO)
    bare = benchmark_module.Skeleton(model, inputs, with_text=True, grad=True)
    trained = operations(lambda: sum(out.sum() for out in model(*inputs.arguments)).backward())
    # The model has no use for gradients of its inputs; the bare calls make a few small ones.
    assert trained <= operations(bare) <= 1.1 * trained
    model.zero_grad()


@torch.no_grad()
def test_the_releases_order_of_work_gives_the_same_velocities(benchmark_module, model):
    inputs = benchmark_module.make_inputs(model.config, VIDEO, AUDIO)
    for masked in (False, True):
        ours = model(*inputs.arguments, mask_modality=masked)
        theirs = benchmark_module.ReleaseOrder(model)(*inputs.arguments, mask_modality=masked)
        for one, other in zip(ours, theirs):
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_the_releases_order_of_work_costs_more(benchmark_module, model):
    inputs = benchmark_module.make_inputs(model.config, VIDEO, AUDIO)
    with torch.no_grad():
        prepared = model.prepare(inputs.text)
        lean = operations(lambda: model(*inputs.arguments[:3], prepared))
        released = operations(lambda: benchmark_module.ReleaseOrder(model)(*inputs.arguments, mask_modality=False))
    assert released > 1.1 * lean


def test_timing_is_of_both_in_turn(benchmark_module):
    order = []
    result = benchmark_module.interleaved(lambda: order.append("a"), lambda: order.append("b"), repeats=3)
    assert order == ["a", "b"] * 4
    assert result["repeats"] == 3
    assert result["ratio_min"] <= result["ratio"] <= result["ratio_max"]


def test_a_step_of_the_large_model_runs_on_any_device(benchmark_module, model):
    measured = benchmark_module.large_model_step(model.config, VIDEO, AUDIO, device="cpu", compiled=False, repeats=2)
    assert measured["seconds_per_three_pass_step"] > 0


def test_passes_per_step(benchmark_module):
    assert list(benchmark_module.passes_per_step().values()) == [1, 2, 3, 4]
