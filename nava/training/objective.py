"""The loss of a micro-batch: noise the latents at the drawn times, predict the velocity, weigh the error."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import torch
from torch import Tensor, nn

from nava.config.diffusion import DiffusionConfig
from nava.diffusion.loss import LossTerms, add_noise, audio_mask, flow_matching_loss, velocity, video_mask
from nava.diffusion.timestep import NoiseLevels, TrainingSchedule
from nava.training.micro_batches import MicroBatch


@dataclass(frozen=True)
class Noised:
    """Latents at a noise level, and the velocity to predict from them."""

    noisy: Tensor
    target: Tensor


def noised(data: Tensor, noise: Tensor, sigma_B: Tensor) -> Noised:
    """Mix `data` with `noise` of the same shape at each sample's noise level."""
    return Noised(add_noise(data, noise, sigma_B), velocity(data, noise))


@dataclass(frozen=True)
class Clips:
    """A batch to learn from: latents, what describes them, and how much of each sample there is.

    Two kinds of padding differ. A batch of unequal samples is padded to its largest, and that part is no sample's: it
    is neither attended nor learned. A clip shorter than its slot may have been filled up with repeated frames and
    silence: the release attends to that and learns it, the corrected mode treats it like the other kind.

    Attributes:
        video: clean latents [batch, channels, frames, height, width], or None.
        audio: clean latents [batch, length, channels], or None.
        text: features [batch, rows, width].
        video_size: (frames, height, width) of each sample when the batch is padded; None when all fill it.
        audio_length: audio latents of each sample when the batch is padded.
        content_frames: latent frames of each sample that are its own and not filled up; None when all are.
        content_length: the same of the audio latents.
        speakers: speaker vectors [speakers, width].
        speaker_slots: the context row each speaker replaces, sample * text_len + row.
        weight: how much each sample counts, 1 on average; None when all count alike.
    """

    video: Tensor | None
    audio: Tensor | None
    text: Tensor
    video_size: Tensor | None = None
    audio_length: Tensor | None = None
    content_frames: Tensor | None = None
    content_length: Tensor | None = None
    speakers: Tensor | None = None
    speaker_slots: Tensor | None = None
    weight: Tensor | None = None


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
    mask_modality: bool = False,
    first_frame_clean: bool = False,
) -> LossTerms:
    """The flow-matching loss of given clips with given noise at given times: a function of its arguments alone.

    Args:
        model: a NavaTransformer, or what wraps one.
        clips: what to learn.
        noise: mixed into the clips.
        levels: noise level, time and loss weight of each sample, one for both modalities.
        config: `loss_mode` and the weights of the modalities.
        mask_modality: keep video and audio apart in self-attention.
        first_frame_clean: give the first latent frame without noise, at time 0 (image condition).

    Raises:
        ValueError: a clean first frame is asked for, but there is no video.
    """
    if first_frame_clean and clips.video is None:
        raise ValueError("a clean first frame was asked for, but the clips have no video")
    corrected = config.loss_mode == "corrected"
    size_B3, length_B = _extents(clips) if corrected else (clips.video_size, clips.audio_length)
    video = audio = None
    if clips.video is not None:
        assert noise.video is not None
        video = noised(clips.video, noise.video, levels.sigma)
        if first_frame_clean:
            video.noisy[:, :, 0] = clips.video[:, :, 0]
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
    without_first = corrected and first_frame_clean
    return flow_matching_loss(
        (predicted_video, video.target) if video else None,
        (predicted_audio, audio.target) if audio else None,
        levels.weight if clips.weight is None else levels.weight * clips.weight,
        config,
        video_mask=video_mask(video.target.shape, size_B3, without_first_frame=without_first) if video else None,
        audio_mask=audio_mask(audio.target.shape, length_B) if audio else None,
    )


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
        latents, task = micro_batch.latents, micro_batch.task
        levels = self._schedule.sample(len(micro_batch.ids), micro_batch.generator)
        speakers, slots = self._voices(micro_batch)
        clips = Clips(
            latents.video_BCTHW if task.modality == "av" else None,
            latents.audio_BLC if task.makes_audio else None,
            latents.text_BND * ~micro_batch.text_dropped[:, None, None],
            speakers=speakers,
            speaker_slots=slots,
        )
        noise = Noise(_noise(clips.video, micro_batch), _noise(clips.audio, micro_batch))
        terms = clip_loss(
            model,
            moved(clips, self._device),
            moved(noise, self._device),
            moved(levels, self._device),
            self._config,
            mask_modality=micro_batch.mask_modality,
            first_frame_clean=task.with_image,
        )
        return replace(terms, sigmas=levels.sigma)

    def _voices(self, micro_batch: MicroBatch) -> tuple[Tensor | None, Tensor | None]:
        """Voices and their slots, without those of samples whose text is dropped; a dropped voice is an unknown one."""
        latents = micro_batch.latents
        if not self._with_voices or latents.voice_SE is None or latents.voice_slot_S is None:
            return None, None
        assert micro_batch.voice_dropped is not None
        voice_SE = latents.voice_SE * ~micro_batch.voice_dropped[:, None]
        has_text_S = ~micro_batch.text_dropped[latents.voice_slot_S // latents.text_BND.shape[1]]
        if not has_text_S.any():
            return None, None
        return voice_SE[has_text_S], latents.voice_slot_S[has_text_S]


def _noise(like: Tensor | None, micro_batch: MicroBatch) -> Tensor | None:
    return None if like is None else torch.randn(like.shape, generator=micro_batch.generator)
