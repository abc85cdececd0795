"""The order of a stage's micro-batches. Number m is always the same one, however many ranks there are.

Everything is drawn from generators seeded by (seed, stage, what for, epoch), so there is no state but the number of
micro-batches that are done. The ratio of tasks is exact; within a task each clip is seen once before any is seen twice.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import torch

from nava.config.loader import LoaderConfig
from nava.config.model import ModelConfig, release_config
from nava.config.training import StageConfig, TrainingConfig
from nava.data.loader.cost import CostModel
from nava.data.loader.epoch import BatchLimit, PoolSequence
from nava.data.loader.pools import StagePools, pool_name
from nava.data.loader.tasks import PAIRED_TASKS, Task
from nava.data.shards import LatentSource
from nava.runtime.hashing import sha256_json
from nava.runtime.seeding import generator_for


@dataclass(frozen=True)
class SampledBatch:
    """The clips of a micro-batch: one task, one bucket.

    Attributes:
        number: its place in the stage's order, counted from 0.
        tokens: video and audio tokens of all its clips.
        cost: by the cost model.
        epoch: of the pool it was drawn from.
    """

    number: int
    task: Task
    ids: tuple[str, ...]
    tokens: int
    cost: float
    epoch: int


class MicroBatchSampler:
    """The micro-batches of a stage, by number.

    Args:
        source: the latents; only their sizes, splits and tags are looked at.
        config: the recipe.
        loader: how clips are put into micro-batches.
        stage: 1, 2 or 3.
        seed: the run's seed.
        model: what the cost of a clip is estimated for; the released model if it is not given.

    Raises:
        InputError: the stage wants a task for which there is no clip, or a clip does not fit into the token budget.
    """

    def __init__(
        self,
        source: LatentSource,
        config: TrainingConfig,
        loader: LoaderConfig,
        stage: int,
        seed: int,
        model: ModelConfig | None = None,
    ) -> None:
        self._settings = config.stages()[stage - 1]
        self._run_length, self._stage, self._seed = loader.run_length, stage, seed
        pools = StagePools(source, config, stage)
        limit = BatchLimit(config.micro_batch_size, loader.max_tokens)
        cost = CostModel.of(model or release_config())
        self._sequences = {
            name: PoolSequence(pools[name], limit, cost, loader.run_length, seed, stage, name)
            for name in _used_pools(self._settings)
        }
        self._fingerprint = sha256_json(
            {
                "pools": {name: [(clip.clip_id, clip.bucket) for clip in pools[name]] for name in self._sequences},
                "limit": [limit.clips, limit.tokens],
                "runs": [loader.run_length, cost.balance],
                "ratio": [self._settings.audio_only, self._settings.audio_video, *_paired_shares(self._settings)],
                "key": [seed, stage],
            }
        )

    def __getitem__(self, number: int) -> SampledBatch:
        """Micro-batch `number` of the stage, counted from 0."""
        task, before = self._place(number)
        position, sequence = before[pool_name(task)], self._sequences[pool_name(task)]
        batch = sequence[position]
        return SampledBatch(number, task, batch.ids, batch.tokens, batch.cost, position // sequence.per_epoch)

    @property
    def fingerprint(self) -> str:
        """sha256 of what decides the order: two samplers of one fingerprint give the same micro-batches."""
        return self._fingerprint

    def epoch_lengths(self) -> dict[str, int]:
        """Micro-batches in an epoch of each pool: ``audio``, ``av``, ``voice``."""
        return {name: sequence.per_epoch for name, sequence in self._sequences.items()}

    def drawn_before(self, number: int) -> dict[str, int]:
        """How many micro-batches of each pool come before micro-batch `number`."""
        return self._place(number)[1]

    def _place(self, number: int) -> tuple[Task, dict[str, int]]:
        run, place = divmod(number, self._run_length)
        drawn = task_at(self._settings, run, self._seed, self._stage)
        runs = {"audio": drawn.audio, "av": drawn.paired - drawn.voice, "voice": drawn.voice}
        counts = {name: runs[name] * self._run_length for name in self._sequences}
        counts[pool_name(drawn.task)] += place
        return drawn.task, counts


@dataclass(frozen=True)
class TaskPlace:
    """The task of a run of micro-batches.

    Attributes:
        audio: how many runs before it are of audio alone.
        paired: how many are of audio and video.
        voice: how many of those draw from the clips with voices.
    """

    task: Task
    audio: int
    paired: int
    voice: int


def task_at(settings: StageConfig, run: int, seed: int, stage: int) -> TaskPlace:
    """The task of a run, counted from 0 in the stage.

    The ratio of modalities is exact over every audio_only + audio_video runs, that of the audio-video tasks over every
    sum of their shares; within them the order is drawn from the seed.
    """
    ratio = [settings.audio_only, settings.audio_video]
    choice, (audio, paired) = _place_in_ratio(ratio, run, seed, stage, "modality")
    task, earlier = _place_in_ratio(_paired_shares(settings), paired, seed, stage, "task")
    voice = earlier[PAIRED_TASKS.index(Task.TIA2AV)]
    return TaskPlace(PAIRED_TASKS[task] if choice else Task.T2A, audio, paired, voice)


def _place_in_ratio(shares: Sequence[int], index: int, *key: int | str) -> tuple[int, list[int]]:
    """Which share a place of an endless order belongs to, and how many of each came before it."""
    if max(shares) == sum(shares) > 0:  # one has it all: there is no order to draw
        only = shares.index(max(shares))
        return only, [index * (number == only) for number in range(len(shares))]
    block, place = divmod(index, sum(shares))
    ends = list(accumulate(shares))
    chosen = [bisect_right(ends, slot) for slot in _block_order(sum(shares), *key, block)[: place + 1]]
    before = [block * share + chosen[:-1].count(number) for number, share in enumerate(shares)]
    return chosen[-1], before


@lru_cache(maxsize=256)
def _block_order(length: int, *key: int | str) -> list[int]:
    return torch.randperm(length, generator=generator_for(*key)).tolist()


def _paired_shares(settings: StageConfig) -> list[int]:
    return [getattr(settings.tasks, task.value) for task in PAIRED_TASKS]


def _used_pools(settings: StageConfig) -> list[str]:
    paired = [task for task, share in zip(PAIRED_TASKS, _paired_shares(settings), strict=True) if share]
    tasks = [Task.T2A] * bool(settings.audio_only) + paired * bool(settings.audio_video)
    return sorted({pool_name(task) for task in tasks})
