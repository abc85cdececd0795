"""Which clips, dropouts and noise make up a micro-batch. Number m of a stage is always the same one.

Everything is drawn from a generator seeded by (seed, stage, m), so there is no state to save: a resumed run asks for
the next number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from nava.config.training import StageConfig, TrainingConfig
from nava.data.shards import LatentShards
from nava.runtime.errors import InputError
from nava.training.schedule import Modality, generator_for, modality_of


@dataclass(frozen=True)
class MicroBatch:
    """The draws of one micro-batch, which holds one modality.

    Attributes:
        ids: its clips.
        text_dropped: where the text becomes zero rows.
        mask_modality: whether audio and video are kept apart in self-attention; never for audio alone.
        generator: for times and noise, in that order.
        first_frame_clean: whether the first latent frame is given as a condition; never for audio alone.
    """

    modality: Modality
    ids: list[str]
    text_dropped: Tensor
    mask_modality: bool
    generator: torch.Generator
    first_frame_clean: bool = False


def clip_pools(shards: LatentShards, split: str, config: TrainingConfig) -> dict[Modality, list[str]]:
    """Sorted ids of the clips that micro-batches of each modality draw from."""
    paired = sorted(shards.ids(split, "av"))
    audio = sorted(shards.ids(split, "audio"))
    return {"av": paired, "audio": sorted(audio + paired) if config.soundtracks_as_audio else audio}


def stage_pools(shards: LatentShards, config: TrainingConfig, stage: int) -> dict[Modality, list[str]]:
    """The training clips of a stage: its curated audio-video clips as often as the stage says, all others once."""
    pools = clip_pools(shards, "train", config)
    settings = config.stages()[stage - 1]
    if tags := set(settings.curated_tags):
        curated = [clip for clip in pools["av"] if tags & set(shards.entries[clip].tags)]
        pools["av"] = sorted(pools["av"] + curated * (settings.curated_repeats - 1))
    return pools


class MicroBatches:
    """The micro-batches of a stage, by number.

    Clips are taken in shuffled epochs, one sequence per modality: each is seen once before any is seen twice.

    Raises:
        InputError: the stage wants a modality of which there is no clip.
    """

    def __init__(self, config: TrainingConfig, stage: int, seed: int, pools: Mapping[Modality, Sequence[str]]) -> None:
        self._config = config
        self._stage_config: StageConfig = config.stages()[stage - 1]
        self._stage = stage
        self._seed = seed
        self._pools = pools
        shares: dict[Modality, int] = {
            "av": self._stage_config.audio_video,
            "audio": self._stage_config.audio_only,
        }
        for modality, share in shares.items():
            if share and not pools[modality]:
                kind = "audio-video" if modality == "av" else "audio"
                raise InputError(
                    f"stage {stage} trains on {kind} clips, but the training split has none; "
                    f"add such sources or set training.stage{stage}.audio_only and audio_video"
                )

    def __getitem__(self, number: int) -> MicroBatch:
        """Micro-batch `number` of the stage, counted from 0."""
        modality, before = modality_of(self._stage_config, self._seed, self._stage, number)
        size = self._config.micro_batch_size
        ids = [self._clip(modality, before * size + place) for place in range(size)]
        generator = generator_for(self._seed, self._stage, "micro-batch", number)
        text_dropped = torch.rand(size, generator=generator) < self._stage_config.text_dropout
        masked = float(torch.rand((), generator=generator)) < self._stage_config.modality_masking
        return MicroBatch(modality, ids, text_dropped, masked and modality == "av", generator)

    def _clip(self, modality: Modality, position: int) -> str:
        """The clip at a position of the modality's endless sequence of shuffled epochs."""
        pool = self._pools[modality]
        epoch, place = divmod(position, len(pool))
        return pool[_epoch_order(self._seed, self._stage, modality, epoch, len(pool))[place]]


@lru_cache(maxsize=4)
def _epoch_order(seed: int, stage: int, modality: Modality, epoch: int, size: int) -> list[int]:
    return torch.randperm(size, generator=generator_for(seed, stage, "epoch", modality, epoch)).tolist()
