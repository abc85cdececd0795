"""Which dropouts a micro-batch has: a function of its number, at the stated rates."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import pytest
import torch

from nava.config.loader import LoaderConfig
from nava.config.training import StageConfig, TaskRatio
from nava.data.loader.loader import LatentLoader, LoaderState
from nava.data.loader.sampler import MicroBatchSampler, SampledBatch
from nava.data.loader.tasks import Task
from nava.data.shards import LatentBatch, voice_slots
from nava.diffusion.loss import LossTerms
from nava.runtime.errors import InputError
from nava.training.micro_batches import MicroBatch, MicroBatches, drawn
from nava.training.step_metrics import StepTally, by_name
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


class _Voiced(LatentsInMemory):
    """Every paired clip has two voices, (its number, 1) and (its number, 2), but one that has none."""

    def __init__(self, *counts: int, silent: str = "p002") -> None:
        super().__init__(*counts)
        for clip, entry in self.entries.items():
            if clip.startswith("p") and clip != silent:
                self.entries[clip] = replace(entry, voice_slots=(0, 2), voice_width=2)

    def read(self, ids: Sequence[str], **wanted: object) -> LatentBatch:
        batch = super().read(ids, **wanted)
        slots = [self.entries[clip].voice_slots for clip in ids]
        voices = [[int(clip[1:]), span + 1.0] for clip, spans in zip(ids, slots) for span in range(len(spans))]
        voice_slot_S = voice_slots(slots, batch.text_BND.shape[1])
        return replace(batch, voice_SE=torch.tensor(voices) if voices else None, voice_slot_S=voice_slot_S)


VOICED = StageConfig(
    steps=1, audio_only=0, audio_video=1, warmup_steps=0, voice_dropout=0.2, voice_replacement=0.3, text_dropout=0.0
)


def voiced_batches(count: int, settings: StageConfig = VOICED, first: int = 0, **loader: int) -> list[MicroBatch]:
    """Micro-batches of one clip."""
    source = _Voiced()
    sampler = MicroBatchSampler(source, tiny_training(stage1=settings, micro_batch_size=1), LoaderConfig(), 1, 5)
    latents = LatentLoader(source, sampler, **loader)
    latents.restore(LoaderState(first, {}, sampler.fingerprint))
    return list(islice(MicroBatches(latents, settings, 1, 5), count))


def voices(batch: MicroBatch) -> list[list[float]]:
    return [] if batch.latents.voice_SE is None else batch.latents.voice_SE.tolist()


def test_a_replaced_voice_is_that_of_another_clip_even_where_a_micro_batch_has_one_clip() -> None:
    seen, replaced, spans = set(), 0, 0
    for batch in (batch for batch in voiced_batches(400) if batch.ids != ["p002"]):
        own = int(batch.ids[0][1:])
        for place, (voice, changed) in enumerate(zip(voices(batch), batch.voice_replaced.tolist(), strict=True)):
            spans, replaced = spans + 1, replaced + changed
            if not changed:
                assert voice == [own, place + 1]
            else:
                assert voice[0] != own
                seen.add((own, *voice))
    assert replaced / spans == pytest.approx(0.3, abs=0.04)
    # Of the eight training clips one has no voice; held-out ones (p008, p009) give none away.
    clips = [0, 1, 3, 4, 5, 6, 7]
    assert {voice for _, voice, _ in seen} == set(clips)
    assert len(seen) > 0.8 * len(clips) * (len(clips) - 1) * 2


def test_which_voice_it_is_depends_on_the_number_alone() -> None:
    straight = [voices(batch) for batch in voiced_batches(24)]
    assert straight != [voices(batch) for batch in voiced_batches(24, replace(VOICED, voice_replacement=0.0))]
    assert [voices(batch) for batch in voiced_batches(12, first=12)] == straight[12:]
    assert [voices(batch) for batch in voiced_batches(24, prefetch=0)] == straight
    ranks = [[voices(batch) for batch in voiced_batches(12, per_step=2, rank=rank, ranks=2)] for rank in (0, 1)]
    assert [sorted(pair) for pair in zip(*ranks)] == [sorted(straight[at : at + 2]) for at in range(0, 24, 2)]


def test_what_was_replaced_is_in_the_recorded_rates() -> None:
    tally = StepTally()
    counted = [batch for batch in voiced_batches(60) if batch.latents.voice_SE is not None]
    for batch in counted:
        tally.add(batch, LossTerms(torch.tensor(1.0), None, None, sigmas=torch.tensor([0.5])))
    own = [[int(batch.ids[0][1:]), place + 1.0] for batch in counted for place in (0, 1)]
    other = sum(mine != voice for mine, voice in zip(own, [voice for batch in counted for voice in voices(batch)]))
    found = by_name(tally.vector())
    assert other > 20
    assert found["voice_replaced_share"] == other / (2 * len(counted))
    assert found["voice_dropped_share"] == pytest.approx(0.2, abs=0.1)
    assert found["masked_share"] == sum(float(batch.masked.float().mean()) for batch in counted) / len(counted) > 0
    assert found["text_dropped_share"] == found["with_image_share"] == 0


@pytest.mark.parametrize("paired", [2, 3])
def test_without_another_voice_none_can_be_replaced(paired: int) -> None:
    # One clip is trained on, or two of which one has no voice.
    source = _Voiced(paired, 4, 1, silent="p000" if paired == 3 else "")
    sampler = MicroBatchSampler(source, tiny_training(stage1=VOICED), LoaderConfig(), 1, 5)
    with pytest.raises(InputError, match=r"training\.stage1\.voice_replacement is 0\.3, but of .* clips 1 have voices"):
        MicroBatches(LatentLoader(source, sampler), VOICED, 1, 5)


def test_the_latents_of_a_micro_batch_are_those_of_its_clips_and_task() -> None:
    settings = StageConfig(steps=1, audio_only=1, audio_video=1, warmup_steps=0, tasks=TaskRatio(1, 1))
    config = tiny_training(stage1=settings)
    sampler = MicroBatchSampler(SHARDS, config, LoaderConfig(), 1, 5)
    for number, batch in enumerate(islice(MicroBatches(LatentLoader(SHARDS, sampler), settings, 1, 5), 12)):
        sampled = sampler[number]
        assert (batch.task, tuple(batch.ids)) == (sampled.task, sampled.ids)
        assert torch.equal(batch.latents.audio_BLC, SHARDS.read(sampled.ids, with_video=False).audio_BLC)
        assert (batch.latents.video_BCTHW is None) == (batch.task is Task.T2A)
