"""Losses on held-out clips with fixed noise at fixed noise levels: figures that stages and runs can be compared by.

The noise of a clip is derived from its id, so neither the order of clips nor the batch size matters. Errors are plain
mean squared errors of the velocity, without time weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from nava.config.diffusion import DiffusionConfig
from nava.config.training import StageConfig, TrainingConfig
from nava.data.loader.pools import clip_pools
from nava.data.loader.tasks import Modality
from nava.data.shards import LatentBatch, LatentSource
from nava.diffusion.loss import mean_squared_error
from nava.runtime.seeding import generator_for
from nava.training.objective import noised
from nava.training.world import World

BATCH = 16


@dataclass(frozen=True)
class ClipLosses:
    """Mean squared velocity error of each clip; None for a modality that was not given."""

    video: Tensor | None
    audio: Tensor


@dataclass(frozen=True)
class ValidationSet:
    """The clips that validation uses, by the modality of their micro-batches, and where they are from.

    A corpus too small to hold clips out is validated on training clips; `split` says so.
    """

    ids: dict[Modality, list[str]]
    split: dict[Modality, str]


def validation_set(shards: LatentSource, config: TrainingConfig) -> ValidationSet:
    """Up to `validation_clips` clips per modality, drawn the same way for every run of a corpus."""
    held_out, training = (clip_pools(shards, split, config.soundtracks_as_audio) for split in ("heldout", "train"))
    ids: dict[Modality, list[str]] = {}
    split: dict[Modality, str] = {}
    modalities: tuple[Modality, ...] = ("av", "audio")
    for modality in modalities:
        pool = held_out[modality] or training[modality]
        order = torch.randperm(len(pool), generator=generator_for("validation", modality)).tolist()
        ids[modality] = sorted(pool[place] for place in order[: config.validation_clips])
        split[modality] = "heldout" if held_out[modality] else "train"
    return ValidationSet(ids, split)


@torch.no_grad()
def clip_losses(
    model: nn.Module,
    shards: LatentSource,
    ids: Sequence[str],
    *,
    sigma: float,
    modality: Modality,
    sound_of: Sequence[str] | None = None,
    world: World | None = None,
) -> ClipLosses:
    """The error of each clip at one noise level, with its own text.

    Processes share the batches, which are the same however many they are; each gets all errors.

    Args:
        model: a NavaTransformer.
        shards: the latents.
        ids: the clips.
        sigma: noise level in (0, 1).
        modality: `audio` leaves the picture out.
        sound_of: for each clip, the clip whose audio it is given instead of its own (with the noise of its own).
        world: who shares the work.
    """
    world = world or World()
    starts = list(range(0, len(ids), BATCH))
    found: list[Tensor] = []
    for first in range(0, len(starts), world.data_size):
        # In the last round some may have nothing to do; they repeat a batch, since forward passes are taken together.
        start = starts[min(first + world.data_rank, len(starts) - 1)]
        chunk = slice(start, start + BATCH)
        latents = shards.read(list(ids[chunk]), with_video=modality == "av")
        sounds = latents if sound_of is None else shards.read(list(sound_of[chunk]), with_video=False)
        losses_B2 = torch.full((BATCH, 2), float("nan"))
        losses = _losses(model, latents, sounds.audio_BLC, sigma, modality, world.device)
        losses_B2[: len(losses.audio), 1] = losses.audio
        if losses.video is not None:
            losses_B2[: len(losses.audio), 0] = losses.video
        found.append(world.gathered(losses_B2).flatten(0, 1))
    losses_N2 = torch.cat(found)[: len(starts) * BATCH]
    # Only the last batch is not full, and what comes after it was cut off.
    losses_N2 = losses_N2[: len(ids)]
    return ClipLosses(losses_N2[:, 0] if modality == "av" else None, losses_N2[:, 1])


def _losses(
    model: nn.Module, latents: LatentBatch, audio_BLC: Tensor, sigma: float, modality: Modality, device: torch.device
) -> ClipLosses:
    sigma_B = torch.full((len(latents.ids),), sigma)
    video = None
    if modality == "av":
        assert latents.video_BCTHW is not None
        video = noised(latents.video_BCTHW, _noise(latents.ids, "video", latents.video_BCTHW), sigma_B)
    audio = noised(audio_BLC, _noise(latents.ids, "audio", audio_BLC), sigma_B)
    predicted = model(
        video.noisy.to(device) if video else None, audio.noisy.to(device), sigma_B.to(device) * 1000,
        latents.text_BND.to(device),
    )  # fmt: skip
    video_error = mean_squared_error(predicted[0].cpu(), video.target) if video else None
    return ClipLosses(video_error, mean_squared_error(predicted[1].cpu(), audio.target))


def _noise(ids: Sequence[str], stream: str, like_B: Tensor) -> Tensor:
    shape = like_B.shape[1:]
    return torch.stack([torch.randn(shape, generator=generator_for("validation", stream, clip)) for clip in ids])


def validation_losses(
    model: nn.Module,
    shards: LatentSource,
    clips: ValidationSet,
    sigmas: Sequence[float],
    world: World | None = None,
) -> dict[str, Any]:
    """Mean errors by task, modality and noise level.

    Returns:
        `av_video` and `av_audio` (both modalities given) and `audio` (audio alone): `by_sigma` and their `mean`; a task
        without clips is absent.
    """
    found: dict[str, dict[str, float]] = {}
    for modality, ids in clips.ids.items():
        for sigma in sigmas if ids else ():
            losses = clip_losses(model, shards, ids, sigma=sigma, modality=modality, world=world)
            if losses.video is not None:
                found.setdefault("av_video", {})[f"{sigma:g}"] = _mean(losses.video)
            audio_task = "audio" if losses.video is None else "av_audio"
            found.setdefault(audio_task, {})[f"{sigma:g}"] = _mean(losses.audio)
    return {task: {"by_sigma": by_sigma, "mean": fmean(by_sigma.values())} for task, by_sigma in found.items()}


def _mean(losses: Tensor) -> float:
    return float(losses.double().mean())


def stage_objective(losses: dict[str, Any], stage: StageConfig, diffusion: DiffusionConfig) -> float:
    """What the stage as a whole minimises: the errors in the proportion of its micro-batches and modality weights."""
    total = stage.audio_only + stage.audio_video
    objective = 0.0
    if stage.audio_only:
        objective += stage.audio_only / total * diffusion.audio_loss_weight * losses["audio"]["mean"]
    if stage.audio_video:
        paired = diffusion.video_loss_weight * losses["av_video"]["mean"]
        paired += diffusion.audio_loss_weight * losses["av_audio"]["mean"]
        objective += stage.audio_video / total * paired
    return objective


def synchrony_losses(
    model: nn.Module,
    shards: LatentSource,
    ids: Sequence[str],
    sigmas: Sequence[float],
    world: World | None = None,
) -> dict[str, dict[str, float]]:
    """Does hearing the right sound help to predict the picture? A test of synchrony without sampling.

    The other sound is that of the clip whose caption comes next: mostly one of the same kind with other event times.

    Args:
        model: a NavaTransformer.
        shards: the latents.
        ids: audio-video clips, at least two.
        sigmas: noise levels.
        world: who shares the work.

    Returns:
        By noise level: the video error with the clip's own audio (`own`), with another clip's (`other`),
        their difference `gap` = other - own, and its standard error over clips.
    """
    caption = {clip: shards.read([clip]).captions[0] for clip in ids}
    ids = sorted(ids, key=lambda clip: (caption[clip], clip))
    others = [*ids[1:], ids[0]]
    result = {}
    for sigma in sigmas:
        own = clip_losses(model, shards, ids, sigma=sigma, modality="av", world=world).video
        other = clip_losses(model, shards, ids, sigma=sigma, modality="av", sound_of=others, world=world).video
        assert own is not None
        assert other is not None
        gap = (other - own).double()
        result[f"{sigma:g}"] = {
            "own": _mean(own),
            "other": _mean(other),
            "gap": _mean(gap),
            "standard_error": float(gap.std() / len(ids) ** 0.5),
            "clips": len(ids),
        }
    return result
