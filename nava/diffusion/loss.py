"""The flow-matching loss of both modalities."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nava.config.diffusion import DiffusionConfig


def add_noise(data: Tensor, noise: Tensor, sigma_B: Tensor) -> Tensor:
    """The point at noise level sigma on the straight path from data to noise."""
    sigma = _per_sample(sigma_B, data)
    return (1 - sigma) * data + sigma * noise


def velocity(data: Tensor, noise: Tensor) -> Tensor:
    """What the model learns to predict."""
    return noise - data


def mean_squared_error(prediction: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean squared error of each sample, [batch].

    `mask` is True where an element counts and broadcasts to the latents; a sample with nothing to count gives 0.
    """
    error = (prediction.float() - target.float()).square()
    if mask is None:
        return error.flatten(1).mean(dim=1)
    counted = mask.expand_as(error)
    return (error * counted).flatten(1).sum(dim=1) / counted.flatten(1).sum(dim=1).clamp(min=1)


@dataclass(frozen=True)
class LossTerms:
    """The loss to minimise, and each modality's mean error without time and modality weights (None when absent)."""

    total: Tensor
    video: Tensor | None
    audio: Tensor | None


def flow_matching_loss(
    video: tuple[Tensor, Tensor] | None,
    audio: tuple[Tensor, Tensor] | None,
    weight_B: Tensor,
    config: DiffusionConfig,
    *,
    video_mask: Tensor | None = None,
    audio_mask: Tensor | None = None,
) -> LossTerms:
    """Weighted mean over the batch of each modality's error, summed over modalities.

    Args:
        video: predicted and true velocity [batch, channels, T, H, W], or None.
        audio: predicted and true velocity [batch, length, channels], or None.
        weight_B: weight of each sample's time.
        config: weights of the modalities.
        video_mask: where video elements count; masks padding, and a clean first frame.
        audio_mask: where audio elements count.
    """
    if video is None and audio is None:
        raise ValueError("a loss needs the velocities of video, audio, or both")
    total = torch.zeros((), device=weight_B.device)
    errors: dict[str, Tensor] = {}
    terms = (
        ("video", video, video_mask, config.video_loss_weight),
        ("audio", audio, audio_mask, config.audio_loss_weight),
    )
    for name, velocities, mask, weight in terms:
        if velocities is not None:
            error_B = mean_squared_error(*velocities, mask)
            total = total + weight * (weight_B * error_B).mean()
            errors[name] = error_B.detach().mean()
    return LossTerms(total, errors.get("video"), errors.get("audio"))


def _per_sample(value_B: Tensor, like: Tensor) -> Tensor:
    return value_B.to(like.dtype).view(-1, *[1] * (like.dim() - 1))
