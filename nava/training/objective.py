"""The loss of a micro-batch: noise the latents at the drawn times, predict the velocity, weigh the error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from nava.config.diffusion import DiffusionConfig
from nava.diffusion.loss import LossTerms, add_noise, audio_mask, flow_matching_loss, velocity, video_mask
from nava.diffusion.timestep import NoiseLevels, TrainingSchedule
from nava.training.clips import Clips
from nava.training.micro_batches import MicroBatch
from nava.training.strategies import strategy_of


@dataclass(frozen=True)
class Noised:
    """Latents at a noise level, and the velocity to predict from them."""

    noisy: Tensor
    target: Tensor


def noised(data: Tensor, noise: Tensor, sigma_B: Tensor) -> Noised:
    """Mix `data` with `noise` of the same shape at each sample's noise level."""
    return Noised(add_noise(data, noise, sigma_B), velocity(data, noise))


@dataclass(frozen=True)
class Noise:
    """Gaussian noise with the shapes of a batch's latents; None where they are None."""

    video: Tensor | None
    audio: Tensor | None


def clip_loss(
    model: nn.Module,
    clips: Clips,
    noise: Noise,
    levels: NoiseLevels,
    config: DiffusionConfig,
    *,
    mask_modality: bool | Sequence[bool] = False,
    first_frame_clean: bool | Tensor = False,
) -> LossTerms:
    """The flow-matching loss of given clips with given noise at given times: a function of its arguments alone.

    Args:
        model: a NavaTransformer, or what wraps one.
        clips: what to learn.
        noise: mixed into the clips.
        levels: noise level, time and loss weight of each sample, one for both modalities.
        config: `loss_mode` and the weights of the modalities.
        mask_modality: keep video and audio apart in self-attention, in all samples or in those that are flagged.
        first_frame_clean: give the first latent frame without noise, at time 0 (image condition), likewise.

    Raises:
        ValueError: a clean first frame is asked for, but there is no video.
    """
    first_frame_clean = _alike(first_frame_clean)
    given = first_frame_clean is not False
    if given and clips.video is None:
        raise ValueError("a clean first frame was asked for, but the clips have no video")
    corrected = config.loss_mode == "corrected"
    size_B3, length_B = _extents(clips) if corrected else (clips.video_size, clips.audio_length)
    video = audio = None
    if clips.video is not None:
        assert noise.video is not None
        video = noised(clips.video, noise.video, levels.sigma)
        if given:
            if isinstance(first_frame_clean, Tensor):
                first_frame_clean = first_frame_clean.to(clips.video.device)
            flags_B = torch.as_tensor(first_frame_clean).expand(len(clips.video))
            video.noisy[flags_B, :, 0] = clips.video[flags_B, :, 0]
    if clips.audio is not None:
        assert noise.audio is not None
        audio = noised(clips.audio, noise.audio, levels.sigma)
    predicted_video, predicted_audio = model(
        video.noisy if video else None,
        audio.noisy if audio else None,
        levels.timestep,
        clips.text,
        mask_modality=mask_modality,
        video_size_B3=size_B3,
        audio_length_B=length_B,
        first_frame_clean=first_frame_clean,
        speaker_SE=clips.speakers,
        speaker_slot_S=clips.speaker_slots,
    )
    without_first = first_frame_clean if corrected else False
    return flow_matching_loss(
        (predicted_video, video.target) if video else None,
        (predicted_audio, audio.target) if audio else None,
        levels.weight if clips.weight is None else levels.weight * clips.weight,
        config,
        video_mask=video_mask(video.target.shape, size_B3, without_first_frame=without_first) if video else None,
        audio_mask=audio_mask(audio.target.shape, length_B) if audio else None,
    )


def _alike(flags: bool | Tensor) -> bool | Tensor:
    """One flag for all samples where theirs are equal, which is cheaper to compute with."""
    if isinstance(flags, bool) or (flags.any() and not flags.all()):
        return flags
    return bool(flags.all())


def _extents(clips: Clips) -> tuple[Tensor | None, Tensor | None]:
    """Valid video sizes and audio lengths with what was filled up left out as well."""
    size_B3, length_B = clips.video_size, clips.audio_length
    if clips.video is not None and clips.content_frames is not None:
        if size_B3 is None:
            size_B3 = clips.content_frames.new_tensor(clips.video.shape[2:]).repeat(len(clips.video), 1)
        size_B3 = torch.cat([torch.minimum(size_B3[:, :1], clips.content_frames[:, None]), size_B3[:, 1:]], dim=1)
    if clips.content_length is not None:
        length_B = clips.content_length if length_B is None else torch.minimum(length_B, clips.content_length)
    return size_B3, length_B


Tensors = TypeVar("Tensors", Clips, Noise, NoiseLevels)


def moved(tensors: Tensors, device: torch.device) -> Tensors:
    """The same on a device."""
    if device.type == "cpu":
        return tensors
    there = {
        item.name: value.to(device, non_blocking=True)
        for item in fields(tensors)
        if isinstance(value := getattr(tensors, item.name), Tensor)
    }
    return replace(tensors, **there)


class Objective:
    """The flow-matching objective over latents.

    Args:
        config: of the diffusion.
        with_voices: whether the model takes voices; those of the clips are else left out.
        device: where the model computes. All draws are made on the CPU, so that they are the same everywhere.
    """

    def __init__(
        self, config: DiffusionConfig, *, with_voices: bool = False, device: torch.device | str = "cpu"
    ) -> None:
        self._config = config
        self._schedule = TrainingSchedule(config)
        self._with_voices = with_voices
        self._device = torch.device(device)

    def __call__(self, model: nn.Module, micro_batch: MicroBatch) -> LossTerms:
        """The loss of one micro-batch: of the sound, the picture or both, as its task says."""
        levels = self._schedule.sample(len(micro_batch.ids), micro_batch.generator)
        clips = strategy_of(micro_batch.task).clips(micro_batch, self._with_voices)
        noise = Noise(_noise(clips.video, micro_batch), _noise(clips.audio, micro_batch))
        terms = clip_loss(
            model,
            moved(clips, self._device),
            moved(noise, self._device),
            moved(levels, self._device),
            self._config,
            mask_modality=micro_batch.masked.tolist() if micro_batch.masked.any() else False,
            first_frame_clean=micro_batch.with_image,
        )
        return replace(terms, sigmas=levels.sigma)


def _noise(like: Tensor | None, micro_batch: MicroBatch) -> Tensor | None:
    return None if like is None else torch.randn(like.shape, generator=micro_batch.generator)
