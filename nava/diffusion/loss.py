"""The flow-matching loss of both modalities."""

from __future__ import annotations

from collections.abc import Sequence
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


def video_mask(
    shape_BCTHW: Sequence[int], size_B3: Tensor | None, *, without_first_frame: bool | Tensor = False
) -> Tensor | None:
    """Where video latents count, [batch or 1, 1, T, H, W]; None when all do.

    Args:
        shape_BCTHW: of the latents.
        size_B3: valid (frames, height, width) of each sample.
        without_first_frame: leave the first latent frame out, of all samples or where a flag per sample says so.
    """
    flags_B = without_first_frame if isinstance(without_first_frame, Tensor) else None
    if size_B3 is None and flags_B is None and not without_first_frame:
        return None
    known = size_B3 if size_B3 is not None else flags_B
    mask = torch.ones(1, 1, *shape_BCTHW[2:], dtype=torch.bool, device=None if known is None else known.device)
    if size_B3 is not None:
        for axis, size in enumerate(shape_BCTHW[2:]):
            valid = torch.arange(size, device=size_B3.device) < size_B3[:, axis, None]
            mask = mask & valid.view(len(size_B3), 1, *(size if other == axis else 1 for other in range(3)))
    if flags_B is not None:
        mask = mask.expand(len(flags_B), *mask.shape[1:]).clone()
        mask[flags_B, :, 0] = False
    elif without_first_frame:
        mask = mask.clone()
        mask[:, :, 0] = False
    return mask


def audio_mask(shape_BLC: Sequence[int], length_B: Tensor | None) -> Tensor | None:
    """Where audio latents count, [batch, length, 1]; None when all do."""
    if length_B is None:
        return None
    return (torch.arange(shape_BLC[1], device=length_B.device) < length_B[:, None])[..., None]


@dataclass(frozen=True)
class LossTerms:
    """The loss to minimise, and each modality's part of it (None when absent).

    Attributes:
        total: the sum of the parts.
        video: mean error, without time and modality weights.
        audio: the same of the audio.
        weighted_video: what the release reports as the video's part: with time weight and modality weight once.
        weighted_audio: the same of the audio.
        video_errors: each sample's error of the video, without weights.
        audio_errors: the same of the audio.
        sigmas: the samples' noise levels, where whoever made the loss drew them.
    """

    total: Tensor
    video: Tensor | None
    audio: Tensor | None
    weighted_video: Tensor | None = None
    weighted_audio: Tensor | None = None
    video_errors: Tensor | None = None
    audio_errors: Tensor | None = None
    sigmas: Tensor | None = None


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

    The mode of `config` decides one thing here: "release" applies the video weight twice.

    Args:
        video: predicted and true velocity [batch, channels, T, H, W], or None.
        audio: predicted and true velocity [batch, length, channels], or None.
        weight_B: weight of each sample: its time's, times its own if it has one.
        config: weights of the modalities.
        video_mask: where video elements count; masks padding, and a clean first frame.
        audio_mask: where audio elements count.

    Raises:
        ValueError: neither modality is given.
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
            part = weight * (weight_B * error_B).mean()
            twice = name == "video" and config.loss_mode == "release"
            total = total + (weight * part if twice else part)
            errors[f"{name}_errors"] = error_B.detach()
            errors[name] = error_B.detach().mean()
            errors[f"weighted_{name}"] = part.detach()
    # The modalities that are there, by the names of the fields.
    found: dict[str, Tensor | None] = {"video": None, "audio": None, **errors}
    return LossTerms(total, **found)


def _per_sample(value_B: Tensor, like: Tensor) -> Tensor:
    return value_B.to(like.dtype).view(-1, *[1] * (like.dim() - 1))
