"""Held-out losses per clip, of the trained and the untrained model, by the function that training validates with."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nava.data.shards import LatentShards
from nava.evaluation.metric import ClipValues
from nava.evaluation.metrics.loss import LossValues
from nava.training.validation import clip_losses, next_of_its_size


def loss_values(
    trained: nn.Module,
    untrained: nn.Module,
    shards: LatentShards,
    ids: Sequence[str],
    related: Sequence[str],
    *,
    sigmas: Sequence[float],
    sync_sigma: float,
) -> LossValues:
    """Losses of both models on the same noise.

    Args:
        trained: the evaluated model.
        untrained: a new model of the same shape.
        shards: the latents.
        ids: audio-video clips.
        related: those among which sounds are exchanged, so that only the timing differs: clips of one family.
            One that is alone of its size is left out.
        sigmas: noise levels that the losses are averaged over.
        sync_sigma: noise level at which sounds are exchanged.
    """
    return LossValues(
        trained=_mean_losses(trained, shards, ids, sigmas),
        untrained=_mean_losses(untrained, shards, ids, sigmas),
        other_sound_minus_own=_exchanged_sounds(trained, shards, related, sync_sigma),
    )


def _mean_losses(
    model: nn.Module, shards: LatentShards, ids: Sequence[str], sigmas: Sequence[float]
) -> dict[str, ClipValues]:
    if not ids:
        return {"video": {}, "audio": {}}
    found = [clip_losses(model, shards, ids, sigma=sigma).by_modality() for sigma in sigmas]
    return {modality: _by_clip(ids, [losses[modality] for losses in found]) for modality in ("video", "audio")}


def _exchanged_sounds(model: nn.Module, shards: LatentShards, ids: Sequence[str], sigma: float) -> ClipValues:
    pairs = next_of_its_size(shards, ids)
    if not pairs:
        return {}
    own = clip_losses(model, shards, list(pairs), sigma=sigma).video
    other = clip_losses(model, shards, list(pairs), sigma=sigma, sound_of=list(pairs.values())).video
    assert own is not None
    assert other is not None
    return _by_clip(list(pairs), [other - own])


def _by_clip(ids: Sequence[str], values: Sequence[Tensor]) -> ClipValues:
    return dict(zip(ids, torch.stack(list(values)).double().mean(dim=0).tolist()))
