"""The loss of a micro-batch: noise the latents at the drawn times, predict the velocity, weigh the error."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nava.config.diffusion import DiffusionConfig
from nava.data.shards import LatentShards
from nava.diffusion.loss import LossTerms, add_noise, flow_matching_loss, velocity
from nava.diffusion.timestep import TrainingSchedule
from nava.training.micro_batches import MicroBatch


@dataclass(frozen=True)
class Noised:
    """Latents at a noise level, and the velocity to predict from them."""

    noisy: Tensor
    target: Tensor


def noised(data: Tensor, noise: Tensor, sigma_B: Tensor) -> Noised:
    """Mix `data` with `noise` of the same shape at each sample's noise level."""
    return Noised(add_noise(data, noise, sigma_B), velocity(data, noise))


class Objective:
    """The flow-matching objective over latent shards."""

    def __init__(self, config: DiffusionConfig, shards: LatentShards) -> None:
        self._config = config
        self._schedule = TrainingSchedule(config)
        self._shards = shards

    def __call__(self, model: nn.Module, micro_batch: MicroBatch) -> LossTerms:
        """The loss of one micro-batch. An audio-only one leaves the picture of audio-video clips out."""
        latents = self._shards.read(micro_batch.ids)
        levels = self._schedule.sample(len(micro_batch.ids), micro_batch.generator)
        video = None
        if micro_batch.modality == "av":
            assert latents.video_BCTHW is not None
            video = noised(latents.video_BCTHW, _noise(latents.video_BCTHW, micro_batch), levels.sigma)
        audio = noised(latents.audio_BLC, _noise(latents.audio_BLC, micro_batch), levels.sigma)
        predicted_video, predicted_audio = model(
            video.noisy if video else None,
            audio.noisy,
            levels.timestep,
            latents.text_BND * ~micro_batch.text_dropped[:, None, None],
            mask_modality=micro_batch.mask_modality,
        )
        return flow_matching_loss(
            (predicted_video, video.target) if video else None,
            (predicted_audio, audio.target),
            levels.weight,
            self._config,
        )


def _noise(like: Tensor, micro_batch: MicroBatch) -> Tensor:
    return torch.randn(like.shape, generator=micro_batch.generator)
