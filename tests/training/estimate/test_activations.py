"""Activation memory in closed form, against the bytes that autograd saves on the CPU."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from nava.data.loader.tasks import Task
from nava.model.architecture import build_model
from nava.training.estimate.activations import activation_bytes
from nava.training.estimate.settings import RunSettings
from nava.training.estimate.workload import ClipShape, MicroBatchShape, micro_batch
from tests.training.estimate.small_run import large_run, small_run

SHAPE = ClipShape(frames=33, height=128, width=256)
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
# What one block more adds is all but exact; stems, heads and the time embedding are counted more roughly.
BLOCK_TOLERANCE, MODEL_TOLERANCE = 0.005, 0.04


def saved_bytes(settings: RunSettings, batch: MicroBatchShape) -> int:
    """Bytes of the different storages that autograd keeps after a forward pass, without the parameters."""
    config = settings.model
    model = build_model(config).to(DTYPES[settings.training.precision])
    if settings.training.activation_checkpointing:
        for blocks in (model.double_blocks, model.single_blocks):
            for block in blocks:
                block.forward = _recomputed(block.forward)
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}
    kept: dict[int, Tensor] = {}

    def keep(tensor: Tensor) -> Tensor:
        place = tensor.untyped_storage().data_ptr()
        if place not in weights:
            kept.setdefault(place, tensor)
        return tensor

    size = ((SHAPE.frames - 1) // 4 + 1, SHAPE.height // 16, SHAPE.width // 16)
    inputs = (
        torch.randn(batch.clips, config.video_channels, *size),
        torch.randn(batch.clips, batch.tokens.audio, config.audio_channels),
        torch.rand(batch.clips) * 1000,
        torch.randn(batch.clips, config.text_len, config.text_dim),
    )
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        model(*(value.to(model.dtype) for value in inputs), first_frame_clean=batch.task.with_image)
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def _recomputed(forward: Callable[..., Any]) -> Callable[..., Any]:
    """A block's forward that keeps its input only, tokens of an alignment layer passed one by one so as to be seen."""

    def run(tokens: Tensor | dict[str, Tensor], *rest: Any) -> Any:
        if isinstance(tokens, Tensor):
            return checkpoint(forward, tokens, *rest, use_reentrant=False)
        names = list(tokens)

        def unpacked(*values: Any) -> Any:
            return forward(dict(zip(names, values, strict=False)), *values[len(names) :])

        return checkpoint(unpacked, *tokens.values(), *rest, use_reentrant=False)

    return run


def reckoned(settings: RunSettings, batch: MicroBatchShape) -> float:
    return activation_bytes(batch, settings, fused_norms=False).kept


def with_blocks(settings: RunSettings, **layers: Any) -> RunSettings:
    return replace(settings, model=replace(settings.model, **layers))


@pytest.mark.parametrize("kind", ["num_hal_layers", "num_ufl_layers"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("clips", [1, 2])
@pytest.mark.parametrize("task", [Task.T2AV, Task.TI2AV])
def test_what_one_block_more_keeps(kind: str, precision: str, clips: int, task: Task) -> None:
    settings = small_run(precision=precision, micro_batch_size=clips)
    batch = micro_batch(SHAPE, task, settings)
    runs = [with_blocks(settings, **({"num_hal_layers": 1, "num_ufl_layers": 1} | {kind: count})) for count in (1, 3)]
    measured = [saved_bytes(run, batch) for run in runs]
    expected = [reckoned(run, batch) for run in runs]
    assert expected[1] - expected[0] == pytest.approx(measured[1] - measured[0], rel=BLOCK_TOLERANCE)


@pytest.mark.parametrize("recomputed", [False, True])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_the_whole_model_keeps(recomputed: bool, precision: str) -> None:
    settings = small_run(precision=precision, activation_checkpointing=recomputed)
    settings = with_blocks(settings, num_hal_layers=3, num_ufl_layers=3)
    batch = micro_batch(SHAPE, Task.TI2AV, settings)
    measured = saved_bytes(settings, batch)
    assert reckoned(settings, batch) == pytest.approx(measured, rel=MODEL_TOLERANCE)


def test_recomputation_keeps_an_input_per_block_and_one_block_besides() -> None:
    settings = small_run()
    batch = micro_batch(SHAPE, Task.T2AV, settings)
    kept = activation_bytes(batch, settings)
    recomputed = activation_bytes(batch, settings.with_training(activation_checkpointing=True))
    assert kept.again == 0
    assert recomputed.kept < kept.kept
    assert kept.kept / 3 < recomputed.again + recomputed.kept < kept.kept


def test_a_group_shares_the_tokens() -> None:
    alone, shared = (large_run(sequence_parallel=size) for size in (1, 8))
    shape = ClipShape(frames=121, height=704, width=1280)
    batch = micro_batch(shape, Task.T2AV, alone)
    one, eight = (activation_bytes(batch, settings) for settings in (alone, shared))
    # Each has the whole text, and the attention's result twice.
    assert one.again / 8 < eight.again < one.again / 7
    assert eight.working == pytest.approx(one.working / 8, rel=1e-3)


def test_a_fused_norm_keeps_less() -> None:
    settings = small_run(precision="bf16")
    batch = micro_batch(SHAPE, Task.T2AV, settings)
    fused, unfused = (activation_bytes(batch, settings, fused_norms=fused) for fused in (True, False))
    assert fused.kept < unfused.kept
