"""The loss of a micro-batch: what the model is given, and what its answer is compared with."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from nava.config.training import StageConfig
from nava.diffusion.timestep import TrainingSchedule
from nava.training.micro_batches import MicroBatch, MicroBatches, clip_pools
from nava.training.objective import Objective, noised
from tests.training.latents_in_memory import DIFFUSION, LatentsInMemory, tiny_training

SHARDS = LatentsInMemory()


class Recorder(nn.Module):
    """Answers zeros and remembers what it was asked."""

    def forward(
        self, video: Tensor | None, audio: Tensor, timestep: Tensor, text: Tensor, *, mask_modality: bool
    ) -> tuple[Tensor | None, Tensor]:
        self.video, self.audio, self.timestep, self.text, self.mask_modality = (
            video,
            audio,
            timestep,
            text,
            mask_modality,
        )
        return (None if video is None else torch.zeros_like(video)), torch.zeros_like(audio)


def micro_batch(number: int = 0, audio: int = 0, paired: int = 1, **changes: float) -> MicroBatch:
    config = tiny_training(stage1=StageConfig(1, audio, paired, 0, **changes))
    return MicroBatches(config, 1, 3, clip_pools(SHARDS, "train", config))[number]


def test_an_audio_micro_batch_leaves_the_picture_out() -> None:
    model = Recorder()
    batch = replace(micro_batch(audio=1, paired=0), ids=["p000", "p001", "p002", "p003"])
    terms = Objective(DIFFUSION, SHARDS)(model, batch)
    assert model.video is None
    assert terms.video is None
    assert terms.audio is not None
    assert not model.mask_modality


def test_dropped_texts_are_zero_rows_and_the_others_are_kept() -> None:
    model, batch = Recorder(), micro_batch()
    batch = replace(batch, text_dropped=torch.tensor([True, False, False, True]))
    Objective(DIFFUSION, SHARDS)(model, batch)
    texts = SHARDS.read(batch.ids).text_BND
    assert model.text[[0, 3]].eq(0).all()
    assert model.text[[1, 2]].equal(texts[[1, 2]])


@pytest.mark.parametrize("masked", [True, False])
def test_masking_reaches_the_model(masked: bool) -> None:
    model = Recorder()
    Objective(DIFFUSION, SHARDS)(model, replace(micro_batch(), mask_modality=masked))
    assert model.mask_modality is masked


def test_the_loss_is_the_weighted_error_of_the_velocity() -> None:
    model, batch = Recorder(), micro_batch()
    terms = Objective(DIFFUSION, SHARDS)(model, batch)
    latents, again = SHARDS.read(batch.ids), micro_batch()
    levels = TrainingSchedule(DIFFUSION).sample(4, again.generator)
    video_noise = torch.randn(latents.video_BCTHW.shape, generator=again.generator)
    audio_noise = torch.randn(latents.audio_BLC.shape, generator=again.generator)
    video_error = (video_noise - latents.video_BCTHW).square().flatten(1).mean(1)
    audio_error = (audio_noise - latents.audio_BLC).square().flatten(1).mean(1)
    expected = (levels.weight * (video_error + audio_error)).mean()
    assert float(terms.total) == pytest.approx(float(expected), rel=1e-5)
    assert float(terms.video) == pytest.approx(float(video_error.mean()), rel=1e-5)
    assert float(terms.audio) == pytest.approx(float(audio_error.mean()), rel=1e-5)
    sigma = levels.sigma[:, None, None]
    assert torch.allclose(model.audio, (1 - sigma) * latents.audio_BLC + sigma * audio_noise)
    assert torch.allclose(model.timestep, levels.sigma * 1000)


def test_both_modalities_share_a_sample_s_time_and_samples_differ() -> None:
    model = Recorder()
    Objective(DIFFUSION, SHARDS)(model, micro_batch())
    assert model.timestep.shape == (4,)
    assert len(set(model.timestep.tolist())) > 1


def test_noised_ends_are_data_and_noise() -> None:
    data, noise = torch.ones(2, 3), torch.full((2, 3), 5.0)
    mixed = noised(data, noise, torch.tensor([0.0, 1.0]))
    assert mixed.noisy.tolist() == [[1.0] * 3, [5.0] * 3]
    assert mixed.target.eq(4).all()
