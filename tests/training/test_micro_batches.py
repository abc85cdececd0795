"""Which dropouts a micro-batch has: a function of its number, at the stated rates."""

from dataclasses import replace
from itertools import islice

import pytest
import torch

from nava.config.loader import LoaderConfig
from nava.config.training import StageConfig, TaskRatio
from nava.data.loader.loader import LatentLoader
from nava.data.loader.sampler import MicroBatchSampler, SampledBatch
from nava.data.loader.tasks import Task
from nava.training.micro_batches import MicroBatch, MicroBatches, drawn
from tests.training.latents_in_memory import LatentsInMemory, tiny_training

SHARDS = LatentsInMemory()
LATENTS = SHARDS.read(["p000", "p001", "p002", "p003"])


def draws(batch: MicroBatch) -> tuple:
    noise = torch.randn(3, generator=batch.generator).tolist()
    return batch.ids, batch.text_dropped.tolist(), batch.masked.tolist(), noise


def draw(number: int, task: Task = Task.T2AV, seed: int = 5, stage: int = 1, **changes: float) -> MicroBatch:
    settings = StageConfig(steps=1, audio_only=1, audio_video=1, warmup_steps=0, **changes)
    return drawn(SampledBatch(number, task, tuple(LATENTS.ids), 24, 1.0, 0), LATENTS, settings, seed, stage)


def test_a_number_always_gives_the_same_draws_and_others_differ() -> None:
    reference = [draws(draw(number)) for number in range(12)]
    assert [draws(draw(number)) for number in reversed(range(12))] == reference[::-1]
    noises = {str(found[3]) for found in reference}
    assert len(noises) == 12
    for other in ({"seed": 6}, {"stage": 2}):
        assert not noises & {str(draws(draw(number, **other))[3]) for number in range(12)}


def test_text_is_dropped_per_sample_at_the_stated_rate() -> None:
    dropped = torch.stack([draw(number, text_dropout=0.1).text_dropped for number in range(1500)]).float()
    assert float(dropped.mean()) == pytest.approx(0.1, abs=0.015)
    assert 1 in dropped.sum(dim=1)


def test_masks_are_drawn_for_all_samples_at_once_where_that_is_set() -> None:
    masked = torch.stack([draw(number, modality_masking=0.2, mask_together=True).masked for number in range(2500)])
    assert float(masked.float().mean()) == pytest.approx(0.2, abs=0.03)
    assert set(masked.sum(1).tolist()) == {0, 4}


def test_masks_are_drawn_per_sample_at_the_stated_rate_and_lie_side_by_side() -> None:
    each = {"modality_masking": 0.2, "mask_together": False}
    masked = torch.stack([draw(number, **each).masked for number in range(1500)])
    assert float(masked.float().mean()) == pytest.approx(0.2, abs=0.02)
    # Of four samples, as many are masked as a binomial says: 41, 41, 15 and 3 % have none, one, two and three.
    counts = torch.bincount(masked.sum(1), minlength=5) / len(masked)
    assert counts.tolist() == pytest.approx([0.41, 0.41, 0.154, 0.026, 0.0016], abs=0.03)
    assert all(row.tolist() == sorted(row.tolist(), reverse=True) for row in masked)


def test_first_frames_are_given_per_sample_at_the_stated_rate() -> None:
    given = torch.stack([draw(number, image_condition=0.5).with_image for number in range(1500)]).float()
    assert float(given.mean()) == pytest.approx(0.5, abs=0.02)
    assert set(given.sum(1).tolist()) == {0, 1, 2, 3, 4}
    assert not draw(3).with_image.any()
    assert draw(3, Task.TI2AV).with_image.all()
    assert draw(3, Task.TIA2AV).with_image.all()
    assert not draw(3, Task.T2A, image_condition=1.0).with_image.any()


@pytest.mark.parametrize("task", [Task.T2A, Task.T2V])
def test_a_modality_alone_is_never_masked(task: Task) -> None:
    assert not any(draw(number, task, modality_masking=1.0).masked.any() for number in range(20))


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_rates_of_zero_and_one_are_exact(rate: float) -> None:
    shares = {"text_dropout": rate, "modality_masking": rate, "image_condition": rate}
    for number in range(50):
        batch = draw(number, **shares)
        for flags in (batch.text_dropped, batch.masked, batch.with_image):
            assert flags.eq(bool(rate)).all()


def test_voices_are_dropped_or_replaced_per_span_without_a_change_of_the_other_draws() -> None:
    settings = StageConfig(
        steps=1, audio_only=0, audio_video=1, warmup_steps=0, voice_dropout=0.25, voice_replacement=0.1
    )
    voiced = replace(LATENTS, voice_SE=torch.ones(5, 2), voice_slot_S=torch.arange(5))
    found = []
    for number in range(800):
        sampled = SampledBatch(number, Task.T2AV, tuple(LATENTS.ids), 24, 1.0, 0)
        batch, plain = (drawn(sampled, latents, settings, 5, 1) for latents in (voiced, LATENTS))
        assert plain.voice_dropped is None
        found.append(torch.stack([batch.voice_dropped, batch.voice_replaced]))
        assert not (batch.voice_dropped & batch.voice_replaced).any()
        assert draws(batch) == draws(plain)
    shares = torch.stack(found).float().mean((0, 2))
    assert shares.tolist() == pytest.approx([0.25, 0.1], abs=0.03)


def test_the_latents_of_a_micro_batch_are_those_of_its_clips_and_task() -> None:
    settings = StageConfig(steps=1, audio_only=1, audio_video=1, warmup_steps=0, tasks=TaskRatio(1, 1))
    config = tiny_training(stage1=settings)
    sampler = MicroBatchSampler(SHARDS, config, LoaderConfig(), 1, 5)
    for number, batch in enumerate(islice(MicroBatches(LatentLoader(SHARDS, sampler), settings, 1, 5), 12)):
        sampled = sampler[number]
        assert (batch.task, tuple(batch.ids)) == (sampled.task, sampled.ids)
        assert torch.equal(batch.latents.audio_BLC, SHARDS.read(sampled.ids).audio_BLC)
        assert (batch.latents.video_BCTHW is None) == (batch.task is Task.T2A)
