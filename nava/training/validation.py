"""Losses on held-out clips with fixed noise at fixed noise levels: figures that stages and runs can be compared by.

The noise of a clip is derived from its id, so neither the order of clips nor the batch size matters. Clips of one size
share a batch. Errors are plain mean squared errors of the velocity, without time weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor, nn

from nava.config.diffusion import DiffusionConfig
from nava.config.training import StageConfig, TrainingConfig
from nava.data.loader.epoch import BatchLimit
from nava.data.loader.pools import clip_pools, pool_name
from nava.data.loader.tasks import PAIRED_TASKS, Task
from nava.data.shards import LatentBatch, LatentSource
from nava.diffusion.loss import mean_squared_error, video_mask
from nava.runtime.seeding import generator_for
from nava.training.objective import noised
from nava.training.world import World

BATCH = BatchLimit(clips=16)


@dataclass(frozen=True)
class ClipLosses:
    """Mean squared velocity error of each clip; None for a modality that the task does not make."""

    video: Tensor | None
    audio: Tensor | None

    def by_modality(self) -> dict[str, Tensor]:
        """What there is, by `video` and `audio`."""
        return {name: losses for name, losses in (("video", self.video), ("audio", self.audio)) if losses is not None}


@dataclass(frozen=True)
class ValidationSet:
    """The clips that validation uses, by the pool that tasks draw from, and where they are from.

    A corpus too small to hold clips out is validated on training clips; `split` says so.
    """

    ids: dict[str, list[str]]
    split: dict[str, str]


def validation_set(shards: LatentSource, config: TrainingConfig) -> ValidationSet:
    """Up to `validation_clips` clips per pool, drawn the same way for every run of a corpus."""
    held_out, training = (_pools(shards, split, config) for split in ("heldout", "train"))
    ids: dict[str, list[str]] = {}
    split: dict[str, str] = {}
    for name in dict.fromkeys(pool_name(task) for task in validated_tasks(config)):
        pool = held_out[name] or training[name]
        order = torch.randperm(len(pool), generator=generator_for("validation", name)).tolist()
        ids[name] = sorted(pool[place] for place in order[: config.validation_clips])
        split[name] = "heldout" if held_out[name] else "train"
    return ValidationSet(ids, split)


def validated_tasks(config: TrainingConfig) -> list[Task]:
    """Sound and picture together and sound alone, always; the other tasks if a stage of the recipe trains them."""
    trained = {task for stage in config.stages() for task in PAIRED_TASKS if getattr(stage.tasks, task)}
    return [task for task in Task if task in (Task.T2AV, Task.T2A) or task in trained]


def _pools(shards: LatentSource, split: str, config: TrainingConfig) -> dict[str, list[str]]:
    pools = clip_pools(shards, split, config.soundtracks_as_audio)
    voiced = [clip for clip in pools["av"] if shards.entries[clip].voice_slots]
    return {"av": pools["av"], "audio": pools["audio"], "voice": voiced}


@torch.no_grad()
def clip_losses(
    model: nn.Module,
    shards: LatentSource,
    ids: Sequence[str],
    *,
    sigma: float,
    task: Task = Task.T2AV,
    sound_of: Sequence[str] | None = None,
    world: World | None = None,
    limit: BatchLimit = BATCH,
) -> ClipLosses:
    """The error of each clip at one noise level, with its own text.

    Processes share the batches, which are the same however many they are; each gets all errors.

    Args:
        model: a NavaTransformer.
        shards: the latents.
        ids: the clips.
        sigma: noise level in (0, 1).
        task: what is given and made. A first frame that is given does not count; voices are given by `tia2av` alone.
        sound_of: for each clip, the one of its size whose audio it is given instead of its own (with the noise of its
            own): see `next_of_its_size`.
        world: who shares the work.
        limit: how many clips share a batch.
    """
    world = world or World()
    with_video = task.modality == "av"
    batches = _batches(shards, ids, with_video, limit)
    largest = max(map(len, batches))
    found: list[Tensor] = []
    for first in range(0, len(batches), world.data_size):
        # In the last round some may have nothing to do; they repeat a batch, since forward passes are taken together.
        places = batches[min(first + world.data_rank, len(batches) - 1)]
        latents = shards.read([ids[place] for place in places], with_video=with_video)
        sounds = latents
        if sound_of is not None:
            sounds = shards.read([sound_of[place] for place in places], with_video=False)
        losses_B2 = torch.full((largest, 2), float("nan"))
        losses = _losses(model, latents, sounds.audio_BLC, sigma, task, world.device)
        for column, losses_B in enumerate((losses.video, losses.audio)):
            if losses_B is not None:
                losses_B2[: len(losses_B), column] = losses_B
        found.append(world.gathered(losses_B2))
    losses_N2 = torch.empty(len(ids), 2)
    # What was repeated comes after the last batch.
    for places, losses_B2 in zip(batches, torch.cat(found), strict=False):
        losses_N2[places] = losses_B2[: len(places)]
    return ClipLosses(
        losses_N2[:, 0] if with_video else None,
        losses_N2[:, 1] if task.makes_audio else None,
    )


def _batches(shards: LatentSource, ids: Sequence[str], with_video: bool, limit: BatchLimit) -> list[list[int]]:
    """Places of clips that one pass takes: of one size, and no more than training takes at once."""
    found: list[list[int]] = []
    for places in _by_size(shards, ids, with_video).values():
        tokens = shards.entries[ids[places[0]]].seq_len
        at_once = max(1, min(BATCH.clips, limit.tokens // tokens)) if limit.tokens else limit.clips
        found += [places[start : start + at_once] for start in range(0, len(places), at_once)]
    return found


def _by_size(shards: LatentSource, ids: Sequence[str], with_video: bool) -> dict[Any, list[int]]:
    """Places of the clips of each size, in the order of the clips."""
    found: dict[Any, list[int]] = {}
    for place, clip in enumerate(ids):
        entry = shards.entries[clip]
        found.setdefault((entry.video_shape if with_video else None, entry.audio_shape), []).append(place)
    return found


def next_of_its_size(shards: LatentSource, ids: Sequence[str]) -> dict[str, str]:
    """For each clip the one after it among those of its size; one that is alone of its size has none."""
    found: dict[str, str] = {}
    for places in _by_size(shards, ids, with_video=True).values():
        if len(places) > 1:
            found |= {ids[place]: ids[after] for place, after in zip(places, [*places[1:], places[0]], strict=True)}
    return found


def _losses(
    model: nn.Module, latents: LatentBatch, audio_BLC: Tensor, sigma: float, task: Task, device: torch.device
) -> ClipLosses:
    sigma_B = torch.full((len(latents.ids),), sigma)
    video = audio = counted = None
    given: dict[str, Any] = {}
    if task.modality == "av":
        assert latents.video_BCTHW is not None
        video = noised(latents.video_BCTHW, _noise(latents.ids, "video", latents.video_BCTHW), sigma_B)
    if task.makes_audio:
        audio = noised(audio_BLC, _noise(latents.ids, "audio", audio_BLC), sigma_B)
    if task.with_image:
        assert video is not None
        assert latents.video_BCTHW is not None
        video.noisy[:, :, 0] = latents.video_BCTHW[:, :, 0]
        counted = video_mask(video.target.shape, None, without_first_frame=True)
        given["first_frame_clean"] = True
    if task.needs_voice and latents.voice_SE is not None:
        assert latents.voice_slot_S is not None
        given |= {"speaker_SE": latents.voice_SE.to(device), "speaker_slot_S": latents.voice_slot_S.to(device)}
    predicted = model(
        video.noisy.to(device) if video else None, audio.noisy.to(device) if audio else None,
        sigma_B.to(device) * 1000, latents.text_BND.to(device), **given,
    )  # fmt: skip
    return ClipLosses(
        mean_squared_error(predicted[0].cpu(), video.target, counted) if video else None,
        mean_squared_error(predicted[1].cpu(), audio.target) if audio else None,
    )


def _noise(ids: Sequence[str], stream: str, like_B: Tensor) -> Tensor:
    shape = like_B.shape[1:]
    return torch.stack([torch.randn(shape, generator=generator_for("validation", stream, clip)) for clip in ids])


def validation_losses(
    model: nn.Module,
    shards: LatentSource,
    clips: ValidationSet,
    tasks: Sequence[Task],
    sigmas: Sequence[float],
    world: World | None = None,
    limit: BatchLimit = BATCH,
) -> dict[str, Any]:
    """Mean errors by task and modality, as `t2av_video`, and by noise level.

    Returns:
        `by_sigma` and their `mean` of each; a task without clips is absent.
    """
    found: dict[str, dict[str, float]] = {}
    for task in tasks:
        ids = clips.ids[pool_name(task)]
        for sigma in sigmas if ids else ():
            losses = clip_losses(model, shards, ids, sigma=sigma, task=task, world=world, limit=limit)
            for modality, losses_N in losses.by_modality().items():
                found.setdefault(f"{task}_{modality}", {})[f"{sigma:g}"] = _mean(losses_N)
    return {name: {"by_sigma": by_sigma, "mean": fmean(by_sigma.values())} for name, by_sigma in found.items()}


def _mean(losses: Tensor) -> float:
    return float(losses.double().mean())


def stage_objective(losses: dict[str, Any], stage: StageConfig, diffusion: DiffusionConfig) -> float:
    """What the stage as a whole minimises: the errors in the proportion of its micro-batches and modality weights."""
    total = stage.audio_only + stage.audio_video
    shares = {Task.T2A: stage.audio_only / total}
    ratio = {task: getattr(stage.tasks, task) for task in PAIRED_TASKS}
    shares |= {task: stage.audio_video / total * part / sum(ratio.values()) for task, part in ratio.items()}
    objective = 0.0
    for task, share in shares.items():
        if share and task.modality == "av":
            objective += share * diffusion.video_loss_weight * losses[f"{task}_video"]["mean"]
        if share and task.makes_audio:
            objective += share * diffusion.audio_loss_weight * losses[f"{task}_audio"]["mean"]
    return objective


def synchrony_losses(
    model: nn.Module,
    shards: LatentSource,
    ids: Sequence[str],
    sigmas: Sequence[float],
    world: World | None = None,
    limit: BatchLimit = BATCH,
) -> dict[str, dict[str, float]]:
    """Does hearing the right sound help to predict the picture? A test of synchrony without sampling.

    The other sound is that of the clip of its size whose caption comes next: mostly one of the same kind with other
    event times.

    Args:
        model: a NavaTransformer.
        shards: the latents.
        ids: audio-video clips; those alone of their size are left out, as `clips` tells.
        sigmas: noise levels.
        world: who shares the work.
        limit: how many clips share a batch.

    Returns:
        By noise level: the video error with the clip's own audio (`own`), with another clip's (`other`),
        their difference `gap` = other - own, its standard error over clips, and how many these are. Empty if no two
        clips are of one size.
    """
    caption = {clip: shards.read([clip]).captions[0] for clip in ids}
    pairs = next_of_its_size(shards, sorted(ids, key=lambda clip: (caption[clip], clip)))
    ids, others = list(pairs), list(pairs.values())
    result = {}
    for sigma in sigmas if ids else ():
        own = clip_losses(model, shards, ids, sigma=sigma, world=world, limit=limit).video
        other = clip_losses(model, shards, ids, sigma=sigma, sound_of=others, world=world, limit=limit).video
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
