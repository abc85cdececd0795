"""What micro-batches hold."""

import re
from dataclasses import replace

import pytest

from nava.config.loader import LoaderConfig
from nava.config.training import StageConfig, TaskRatio
from nava.data.loader.tasks import Task
from nava.runtime.errors import InputError
from nava.training.estimate.workload import (
    ClipShape,
    clip_shapes,
    largest_micro_batch,
    mean_seconds,
    micro_batch,
    mixture,
    task_shares,
    tokens_of,
)
from tests.training.estimate.small_run import large_run, small_run

RELEASED = ClipShape(frames=121, height=704, width=1280)


@pytest.mark.parametrize(
    ("task", "video", "audio", "times"),
    [
        (Task.T2AV, 27_280, 127, 1),
        (Task.TI2AV, 27_280, 127, 2),
        (Task.TIA2AV, 27_280, 127, 2),
        (Task.T2V, 27_280, 0, 1),
        (Task.T2A, 0, 127, 1),
    ],
)
def test_tokens_of_the_released_training_shape(task: Task, video: int, audio: int, times: int) -> None:
    found = tokens_of(RELEASED, task, large_run())
    assert (found.video, found.audio, found.times) == (video, audio, times)
    assert found.total == video + audio


def test_tokens_of_the_released_inference_shape() -> None:
    found = tokens_of(ClipShape(145, 704, 1280), Task.T2AV, large_run())
    assert (found.video, found.audio) == (32_560, 152)
    assert found.latents == 37 * 44 * 80 * 48 + 152 * 128


@pytest.mark.parametrize("shape", [ClipShape(120, 704, 1280), ClipShape(121, 700, 1280), ClipShape(121, 704, 1285)])
def test_a_clip_that_is_not_cut_into_whole_latents_is_refused(shape: ClipShape) -> None:
    with pytest.raises(InputError, match=f"a clip of {shape} is not cut into whole latents"):
        tokens_of(shape, Task.T2AV, large_run())


def test_shares_of_tasks() -> None:
    tasks = TaskRatio(t2av=1, ti2av=1)
    stage = StageConfig(steps=1, audio_only=3, audio_video=1, warmup_steps=0, tasks=tasks)
    assert task_shares(stage) == {Task.T2A: 0.75, Task.T2AV: 0.125, Task.TI2AV: 0.125}
    assert Task.T2A not in task_shares(replace(stage, audio_only=0))


def test_shares_of_a_mixture_add_up() -> None:
    settings = small_run()
    settings = replace(settings, clip=replace(settings.clip, frame_counts=[17, 33], buckets=["128x64", "64x64"]))
    assert len(clip_shapes(settings)) == 4
    for stage in settings.training.stages():
        assert sum(share for share, _ in mixture(stage, settings)) == pytest.approx(1)
    assert mean_seconds(settings) == pytest.approx(25 / 24)


def test_the_largest_micro_batch_is_of_the_longest_clips_with_a_clean_frame() -> None:
    settings = small_run(stage3=StageConfig(1, 0, 1, 0, tasks=TaskRatio(t2av=1, ti2av=1)), micro_batch_size=2)
    settings = replace(settings, clip=replace(settings.clip, frame_counts=[17, 33, 25]))
    found = largest_micro_batch(settings)
    assert (found.task, found.clips) == (Task.TI2AV, 2)
    assert found.tokens == tokens_of(ClipShape(33, 64, 128), Task.TI2AV, settings)


def test_a_token_budget_sets_the_number_of_clips() -> None:
    shape = ClipShape(17, 64, 128)
    tokens = tokens_of(shape, Task.T2AV, small_run()).total
    settings = replace(small_run(), loader=LoaderConfig(max_tokens=3 * tokens + 1))
    assert micro_batch(shape, Task.T2AV, settings).clips == 3
    settings = replace(settings, loader=LoaderConfig(max_tokens=tokens - 1))
    with pytest.raises(InputError, match=re.escape(f"more than loader.max_tokens ({tokens - 1})")):
        micro_batch(shape, Task.T2AV, settings)
