"""Validation: fixed noise, independent of order and batch size, and a test of synchrony that means what it says."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from nava.artifacts.latent_shard import LatentEntry
from nava.config.diffusion import DiffusionConfig
from nava.config.training import TaskRatio
from nava.data.loader.epoch import BatchLimit
from nava.data.loader.tasks import Task
from nava.data.shards import LatentBatch, select_entries
from nava.model.backbone import NavaTransformer
from nava.training import validation
from nava.training.validation import (
    clip_losses,
    next_of_its_size,
    stage_objective,
    synchrony_losses,
    validated_tasks,
    validation_losses,
    validation_set,
)
from tests.training.latents_in_memory import DIFFUSION, TINY_MODEL, LatentsInMemory, tiny_training

SHARDS = LatentsInMemory(paired=12, audio_only=8, held_out=5)
CONFIG = tiny_training(validation_clips=4)
TASKS = [Task.T2A, Task.T2AV]


class Voiced:
    """The same clips, every second of which has a reference voice in row 1 of its text."""

    def __init__(self, shards: LatentsInMemory) -> None:
        self._shards = shards
        self.entries = {
            clip: replace(entry, voice_slots=(1,) if int(clip[1:]) % 2 == 0 else ())
            for clip, entry in shards.entries.items()
        }

    def select(self, split: str | None = None, modality: str | None = None) -> list[LatentEntry]:
        return select_entries(self.entries, split, modality)

    def read(self, ids: Sequence[str], **how: Any) -> LatentBatch:
        slots = [place * 3 + 1 for place, clip in enumerate(ids) if self.entries[clip].voice_slots]
        voices = {"voice_SE": torch.ones(len(slots), 2), "voice_slot_S": torch.tensor(slots)} if slots else {}
        return replace(self._shards.read(ids, **how), **voices)


class Zeros(nn.Module):
    def forward(self, video: Tensor | None, audio: Tensor, timestep: Tensor, text: Tensor) -> tuple:
        return (None if video is None else torch.zeros_like(video)), torch.zeros_like(audio)


class Listener(nn.Module):
    """Predicts the video's velocity from the sound's loudness: right only with the sound of the clip itself."""

    def __init__(self, shards: LatentsInMemory, ids: list[str]) -> None:
        super().__init__()
        self.known = shards.read(ids)

    def forward(self, video: Tensor, audio: Tensor, timestep: Tensor, text: Tensor) -> tuple:
        same_text = (text[:, None] - self.known.text_BND[None]).abs().flatten(2).sum(2).argmin(1)
        sigma = timestep[:, None, None] / 1000
        data = self.known.audio_BLC[same_text]
        heard_is_own = ((audio - (1 - sigma) * data) / sigma).flatten(1).std(dim=1) < 1.3
        answer = torch.zeros_like(video)
        for row, own in enumerate(heard_is_own.tolist()):
            if not own:
                answer[row] = 3.0
        return answer, torch.zeros_like(audio)


def tiny_model() -> NavaTransformer:
    model = NavaTransformer(replace(TINY_MODEL, zero_init_heads=False), seed=4).eval()
    nn.init.normal_(model.head.head.weight, std=0.2, generator=torch.Generator().manual_seed(0))
    return model


def test_clips_are_held_out_ones_and_the_same_every_time() -> None:
    clips = validation_set(SHARDS, CONFIG)
    assert clips == validation_set(SHARDS, CONFIG)
    assert clips.split == {"av": "heldout", "audio": "heldout"}
    assert set(clips.ids["av"]) < set(SHARDS.ids("heldout", "av"))
    assert [len(clips.ids[modality]) for modality in ("av", "audio")] == [4, 4]
    everything = validation_set(SHARDS, replace(CONFIG, validation_clips=99))
    assert everything.ids["av"] == SHARDS.ids("heldout", "av")


def test_a_corpus_without_held_out_clips_says_that_it_used_training_clips() -> None:
    shards = LatentsInMemory(paired=3, audio_only=0, held_out=0)
    clips = validation_set(shards, CONFIG)
    assert clips.split == {"av": "train", "audio": "train"}
    assert clips.ids["av"] == shards.ids("train", "av")


def test_an_error_is_that_of_the_velocity() -> None:
    ids = SHARDS.ids("heldout", "av")
    losses = clip_losses(Zeros(), SHARDS, ids, sigma=0.5)
    other_level = clip_losses(Zeros(), SHARDS, ids, sigma=0.2)
    assert losses.video.tolist() == other_level.video.tolist()
    noise = validation._noise(ids[:1], "video", SHARDS.read(ids[:1]).video_BCTHW)
    expected = (noise - SHARDS.read(ids[:1]).video_BCTHW).square().mean()
    assert float(losses.video[0]) == pytest.approx(float(expected), rel=1e-5)


def test_neither_order_nor_batch_size_nor_company_matters() -> None:
    model, ids = tiny_model(), SHARDS.ids("heldout", "av")
    together = clip_losses(model, SHARDS, ids, sigma=0.5)
    backwards = clip_losses(model, SHARDS, ids[::-1], sigma=0.5)
    assert torch.allclose(together.video, backwards.video.flip(0), rtol=1e-5)
    in_pairs = clip_losses(model, SHARDS, ids, sigma=0.5, limit=BatchLimit(2))
    assert torch.allclose(together.video, in_pairs.video, rtol=1e-5)
    assert torch.allclose(together.audio, in_pairs.audio, rtol=1e-5)


def test_clips_of_several_sizes_are_taken_size_by_size_and_no_more_at_once_than_training_takes() -> None:
    shards = LatentsInMemory(paired=5, audio_only=0, held_out=5, wide=5)
    ids = [f"{letter}{number:03d}" for number in range(5) for letter in "pw"]
    seen: list[tuple[int, ...]] = []

    class Counter(nn.Module):
        def forward(self, video: Tensor, audio: Tensor, timestep: Tensor, text: Tensor) -> tuple:
            seen.append((len(video), video.shape[-1], audio.shape[1]))
            return torch.zeros_like(video), torch.zeros_like(audio)

    mixed = clip_losses(Counter(), shards, ids, sigma=0.5, limit=BatchLimit(3))
    assert seen == [(3, 4, 12), (2, 4, 12), (3, 6, 16), (2, 6, 16)]
    alone = [clip_losses(Zeros(), shards, [clip], sigma=0.5) for clip in ids]
    assert mixed.video.tolist() == pytest.approx([float(losses.video) for losses in alone])
    assert mixed.audio.tolist() == pytest.approx([float(losses.audio) for losses in alone])
    seen.clear()
    narrow, wide = (shards.entries[clip].seq_len for clip in ("p000", "w000"))
    assert wide <= 2 * narrow < 2 * wide
    clip_losses(Counter(), shards, ids, sigma=0.5, limit=BatchLimit(3, tokens=2 * narrow))
    assert [(count, width) for count, width, _ in seen] == [(2, 4), (2, 4), (1, 4)] + [(1, 6)] * 5


def test_sounds_are_exchanged_among_clips_of_one_size() -> None:
    shards = LatentsInMemory(paired=3, audio_only=0, held_out=3, wide=2)
    assert next_of_its_size(shards, ["p002", "w000", "p000", "p001"]) == {
        "p002": "p000",
        "p000": "p001",
        "p001": "p002",
    }
    found = synchrony_losses(tiny_model(), shards, shards.ids("heldout", "av"), [0.5])
    assert found["0.5"]["clips"] == 5
    alone = synchrony_losses(tiny_model(), shards, ["p000", "w000"], [0.5])
    assert alone == {}


def test_tasks_and_noise_levels_are_reported_one_by_one() -> None:
    losses = validation_losses(tiny_model(), SHARDS, validation_set(SHARDS, CONFIG), TASKS, [0.2, 0.5, 0.8])
    assert set(losses) == {"t2av_video", "t2av_audio", "t2a_audio"}
    for task in losses.values():
        assert list(task["by_sigma"]) == ["0.2", "0.5", "0.8"]
        assert task["mean"] == pytest.approx(sum(task["by_sigma"].values()) / 3)
    assert len(set(losses["t2av_video"]["by_sigma"].values())) == 3


def test_a_task_without_clips_is_absent() -> None:
    shards = LatentsInMemory(paired=4, audio_only=0)
    config = replace(CONFIG, soundtracks_as_audio=False)
    losses = validation_losses(Zeros(), shards, validation_set(shards, config), TASKS, [0.5])
    assert set(losses) == {"t2av_video", "t2av_audio"}


def test_tasks_that_a_stage_of_the_recipe_trains_are_validated() -> None:
    with_all = replace(CONFIG.stage2, tasks=TaskRatio(t2av=1, ti2av=2, t2v=1, tia2av=1))
    assert set(validated_tasks(replace(CONFIG, stage2=with_all))) == set(Task)
    assert set(validated_tasks(CONFIG)) == {Task.T2AV, Task.T2A} == set(TASKS)


def test_each_task_is_given_what_it_takes_and_answers_for_what_it_makes() -> None:
    seen: dict[str, dict[str, Any]] = {}

    class Recorder(nn.Module):
        def forward(self, video: Tensor | None, audio: Tensor | None, *inputs: Tensor, **given: Any) -> tuple:
            seen[task] = {"video": video, "audio": audio, **given}
            return tuple(None if noisy is None else torch.zeros_like(noisy) for noisy in (video, audio))

    ids = SHARDS.ids("heldout", "av")
    found = {}
    for task in Task:
        found[task] = clip_losses(Recorder(), Voiced(SHARDS), ids, sigma=0.5, task=task)
    for task, losses in found.items():
        assert (losses.video is None, losses.audio is None) == (task is Task.T2A, task is Task.T2V)
        assert (seen[task]["video"] is None, seen[task]["audio"] is None) == (task is Task.T2A, task is Task.T2V)
        assert ("first_frame_clean" in seen[task]) == task.with_image
        assert ("speaker_SE" in seen[task]) == task.needs_voice
    clean = SHARDS.read(ids).video_BCTHW
    first = seen[Task.TI2AV]["video"][:, :, 0]
    assert first.equal(clean[:, :, 0])
    assert not seen[Task.T2AV]["video"][:, :, 0].equal(first)
    # A given frame is not counted.
    noise = validation._noise(ids, "video", clean)
    expected = (noise - clean)[:, :, 1:].square().flatten(1).mean(dim=1)
    torch.testing.assert_close(found[Task.TI2AV].video, expected)


def test_voices_have_clips_of_their_own_and_none_if_none_is_voiced() -> None:
    config = replace(CONFIG, stage3=replace(CONFIG.stage3, tasks=TaskRatio(tia2av=1)))
    assert validation_set(Voiced(SHARDS), config).ids["voice"] == ["p008", "p010"]
    without = validation_set(SHARDS, config)
    assert without.ids["voice"] == []
    assert "tia2av_video" not in validation_losses(Zeros(), SHARDS, without, [Task.TIA2AV, Task.T2AV], [0.5])


def test_a_stage_s_total_mixes_tasks_as_its_micro_batches_do() -> None:
    losses = {"t2av_video": {"mean": 1.0}, "t2av_audio": {"mean": 2.0}, "t2a_audio": {"mean": 4.0}}
    assert stage_objective(losses, CONFIG.stage1, DIFFUSION) == pytest.approx(0.75 * 4 + 0.25 * 3)
    assert stage_objective(losses, CONFIG.stage2, DIFFUSION) == pytest.approx(4 / 3 + 2 / 3 * 3)
    assert stage_objective(losses, CONFIG.stage3, DIFFUSION) == 3.0
    weighted = DiffusionConfig(video_loss_weight=0.5, audio_loss_weight=0.1)
    assert stage_objective(losses, CONFIG.stage3, weighted) == pytest.approx(0.7)
    pictures = replace(CONFIG.stage2, tasks=TaskRatio(t2av=1, t2v=2))
    expected = 4 / 3 + 2 / 9 * 3 + 4 / 9 * 0.5
    assert stage_objective(losses | {"t2v_video": {"mean": 0.5}}, pictures, DIFFUSION) == pytest.approx(expected)


def test_synchrony_is_seen_in_a_model_that_listens() -> None:
    ids = SHARDS.ids("heldout", "av")
    found = synchrony_losses(Listener(SHARDS, ids), SHARDS, ids, [0.3])["0.3"]
    assert found["gap"] == pytest.approx(found["other"] - found["own"])
    assert found["gap"] > 4 * found["standard_error"] > 0
    assert found["clips"] == 5


def test_synchrony_is_not_seen_in_a_model_that_does_not_listen() -> None:
    found = synchrony_losses(Zeros(), SHARDS, SHARDS.ids("heldout", "av"), [0.2, 0.8])
    assert list(found) == ["0.2", "0.8"]
    assert {level["gap"] for level in found.values()} == {0.0}
