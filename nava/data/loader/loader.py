"""A rank's micro-batches with their latents, read ahead in threads; and where it stands, to go on from there."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import torch

from nava.data.loader.ranks import deal
from nava.data.loader.sampler import MicroBatchSampler, SampledBatch
from nava.data.shards import LatentBatch, LatentSource
from nava.runtime.errors import InputError

MAX_THREADS = 8


@dataclass(frozen=True)
class LoadedBatch:
    """A micro-batch and the latents of its clips."""

    sampled: SampledBatch
    latents: LatentBatch


@dataclass(frozen=True)
class LoaderState:
    """Where a loader stands. It holds for any number of ranks.

    Attributes:
        cursor: micro-batches of the stage's order that are done, over all ranks.
        epochs: for each pool the epoch and the place in it that comes next.
        fingerprint: of the order.
    """

    cursor: int
    epochs: dict[str, tuple[int, int]]
    fingerprint: str

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> LoaderState:
        """What ``to_json`` gave."""
        epochs = {str(name): (int(epoch), int(place)) for name, (epoch, place) in value["epochs"].items()}
        return cls(int(value["cursor"]), epochs, str(value["fingerprint"]))


class LatentLoader:
    """Iterates over the micro-batches of a rank, from where it stands, without end.

    All ranks together go through the order of the sampler; every `per_step` of it are one optimizer step. A loader
    that is restored goes on after the last whole step that was taken from it, whatever the number of ranks then was.

    Args:
        source: the latents.
        sampler: the order.
        per_step: micro-batches of an optimizer step over all ranks: ranks times accumulation steps.
        rank: whose micro-batches these are.
        ranks: how many there are; must divide `per_step`.
        prefetch: micro-batches that are read ahead; 0 reads each when it is asked for.
        dtype: of the latents; None leaves what is stored.

    Attributes:
        source: the latents.
        change: what every micro-batch goes through in the thread that read it; None leaves it as it is.

    Raises:
        InputError: the ranks do not divide a step.
    """

    def __init__(
        self,
        source: LatentSource,
        sampler: MicroBatchSampler,
        *,
        per_step: int = 1,
        rank: int = 0,
        ranks: int = 1,
        prefetch: int = 2,
        dtype: torch.dtype | None = torch.float32,
    ) -> None:
        if ranks < 1 or per_step < 1 or per_step % ranks or not 0 <= rank < ranks:
            raise InputError(
                f"rank {rank} of {ranks} cannot take its part of {per_step} micro-batches per step: the number of "
                "ranks must divide it"
            )
        self.sampler, self.source = sampler, source
        self.change: Callable[[LoadedBatch], LoadedBatch] | None = None
        self._dtype = dtype
        self._per_step, self._rank, self._ranks = per_step, rank, ranks
        self._prefetch = prefetch
        self._taken = 0
        self._start = 0

    def __iter__(self) -> Iterator[LoadedBatch]:
        """The micro-batches from here on; one iterator at a time.

        Raises:
            InputError: latents that cannot be read, at the micro-batch that needs them.
        """
        batches = self._order()
        if not self._prefetch:
            for batch in batches:
                yield self._count(self._load(batch))
        waiting: deque[Future[LoadedBatch]] = deque()
        pool = ThreadPoolExecutor(min(self._prefetch, MAX_THREADS, os.cpu_count() or 1), "nava-loader")
        try:
            while True:
                while len(waiting) < self._prefetch:
                    waiting.append(pool.submit(self._load, next(batches)))
                loaded = waiting.popleft().result()
                waiting.append(pool.submit(self._load, next(batches)))
                yield self._count(loaded)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def next_step(self) -> list[SampledBatch]:
        """The micro-batches of the next optimizer step, over all ranks, without their latents."""
        first = self._cursor()
        return [self.sampler[number] for number in range(first, first + self._per_step)]

    def state(self) -> LoaderState:
        """After the last whole step that was taken."""
        cursor = self._cursor()
        lengths = self.sampler.epoch_lengths()
        done = self.sampler.drawn_before(cursor)
        epochs = {name: divmod(done[name], length) for name, length in lengths.items()}
        return LoaderState(cursor, epochs, self.sampler.fingerprint)

    def restore(self, state: LoaderState) -> None:
        """Go on where another loader stood; before iterating.

        Raises:
            InputError: that one went through another order.
        """
        if state.fingerprint != self.sampler.fingerprint:
            raise InputError(
                "the loader's state is of another order of micro-batches: clips, seed, stage, micro-batch size, token "
                "budget or ratios have changed since; start the stage again, or restore what was changed"
            )
        self._start, self._taken = state.cursor, 0

    def _cursor(self) -> int:
        return self._start + self._taken // (self._per_step // self._ranks) * self._per_step

    def _order(self) -> Iterator[SampledBatch]:
        first = self._cursor()
        self._start, self._taken = first, 0
        while True:
            step = [self.sampler[number] for number in range(first, first + self._per_step)]
            yield from deal(step, self._ranks)[self._rank]
            first += self._per_step

    def _load(self, batch: SampledBatch) -> LoadedBatch:
        with_video = batch.task.modality == "av"
        loaded = LoadedBatch(batch, self.source.read(batch.ids, with_video=with_video, dtype=self._dtype))
        return self.change(loaded) if self.change else loaded

    def _count(self, loaded: LoadedBatch) -> LoadedBatch:
        self._taken += 1
        return loaded
