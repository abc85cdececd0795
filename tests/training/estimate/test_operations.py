"""Operations in closed form, against torch's counter on a small model."""

from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from nava.config.lora import LoraConfig
from nava.config.model import ModelConfig
from nava.data.loader.tasks import Task
from nava.model.architecture import build_model
from nava.training.estimate.operations import forward_operations, needed_operations, repeated_operations
from nava.training.estimate.parameters import count_parameters
from nava.training.estimate.workload import ClipShape, Tokens, tokens_of
from tests.training.estimate.small_run import SMALL, small_run

SHAPE = ClipShape(frames=17, height=64, width=128)
# Longer than what surrounds the blocks is wide, so that attention and blocks have their usual weight.
LONG = ClipShape(frames=81, height=128, width=128)


def counted(model_config: ModelConfig, shape: ClipShape, task: Task, clips: int = 1) -> tuple[float, float]:
    """What torch counts in the forward pass, and in both."""
    model = build_model(model_config)
    tokens = tokens_of(shape, task, small_run(model_config))
    size = ((shape.frames - 1) // 4 + 1, shape.height // 16, shape.width // 16)
    video = torch.randn(clips, model_config.video_channels, *size) if tokens.video else None
    audio = torch.randn(clips, tokens.audio, model_config.audio_channels) if tokens.audio else None
    text = torch.randn(clips, model_config.text_len, model_config.text_dim)
    # The counter knows attention only as the two products it is made of.
    with FlopCounterMode(display=False) as counter, sdpa_kernel(SDPBackend.MATH):
        out = model(video, audio, torch.rand(clips) * 1000, text, first_frame_clean=task.with_image)
        forward = counter.get_total_flops()
        sum(part.square().sum() for part in out if part is not None).backward()
    return forward, counter.get_total_flops()


@pytest.mark.parametrize("task", [Task.T2AV, Task.TI2AV, Task.T2V, Task.T2A])
@pytest.mark.parametrize("clips", [1, 3])
def test_forward_operations_are_exactly_those_that_torch_counts(task: Task, clips: int) -> None:
    tokens = tokens_of(SHAPE, task, small_run())
    # A batch embeds the clean frame's time once.
    shared = 2 * (clips - 1) * (tokens.times - 1) * (SMALL.freq_dim * SMALL.dim + 7 * SMALL.dim**2)
    expected = forward_operations(SMALL, tokens, clips).total - shared
    assert counted(SMALL, SHAPE, task, clips)[0] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("hal", "ufl", "final"), [(2, 0, 0), (0, 3, 0), (1, 1, 1)])
def test_every_kind_of_block_is_counted(hal: int, ufl: int, final: int) -> None:
    model = replace(SMALL, num_hal_layers=hal, num_ufl_layers=ufl, num_final_hal_layers=final)
    tokens = tokens_of(SHAPE, Task.T2AV, small_run(model))
    assert counted(model, SHAPE, Task.T2AV)[0] == pytest.approx(forward_operations(model, tokens).total, rel=1e-12)


def test_forward_and_backward_are_three_forward_passes_within_two_per_cent() -> None:
    parameters = count_parameters(SMALL, LoraConfig())
    needed = needed_operations(forward_operations(SMALL, tokens_of(LONG, Task.T2AV, small_run())), parameters)
    both = counted(SMALL, LONG, Task.T2AV)[1]
    # The gradients of latents and text are not computed.
    assert 0.98 * needed < both <= needed


def test_recomputation_adds_a_forward_pass_of_the_blocks() -> None:
    forward = forward_operations(SMALL, tokens_of(LONG, Task.T2AV, small_run()))
    parameters = count_parameters(SMALL, LoraConfig())
    assert repeated_operations(forward, small_run(), parameters) == 0
    again = repeated_operations(forward, small_run(activation_checkpointing=True), parameters)
    assert again == forward.linear + forward.attention == forward.total - forward.edges


def test_adapters_save_the_gradients_of_frozen_weights() -> None:
    forward = forward_operations(SMALL, tokens_of(LONG, Task.T2AV, small_run()))
    whole = needed_operations(forward, count_parameters(SMALL, LoraConfig()))
    adapted = needed_operations(forward, count_parameters(SMALL, LoraConfig(rank=1)))
    assert 2 * forward.total < adapted < whole


def test_attention_grows_with_the_square_of_the_length_and_the_rest_with_the_length() -> None:
    model = replace(SMALL, text_len=1)
    short, long = (forward_operations(model, Tokens(video=count, audio=0)) for count in (10_000, 20_000))
    assert long.attention / short.attention == pytest.approx(4, rel=1e-3)
    assert long.linear / short.linear == pytest.approx(2, rel=1e-3)
