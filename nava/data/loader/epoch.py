"""A pool's micro-batches: an endless sequence of epochs, each of which has every clip of the pool once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from nava.data.loader.cost import CostModel
from nava.data.loader.pools import PooledClip
from nava.runtime.errors import InputError
from nava.runtime.seeding import generator_for

_KEPT_EPOCHS = 2


@dataclass(frozen=True)
class BatchLimit:
    """How many clips a micro-batch holds.

    Attributes:
        clips: at most so many, if there is no budget.
        tokens: the budget: at most so many tokens; 0 sets none.
    """

    clips: int
    tokens: int = 0

    def of(self, clip: PooledClip) -> int:
        """The most clips of that size. InputError if not even one fits into the budget."""
        if not self.tokens:
            return self.clips
        if clip.tokens > self.tokens:
            raise InputError(
                f"clip {clip.clip_id} has {clip.tokens} tokens, more than loader.max_tokens ({self.tokens}): "
                "raise the budget, or curate shorter or smaller clips"
            )
        return self.tokens // clip.tokens


@dataclass(frozen=True)
class Drawn:
    """A micro-batch of a pool: clips of one bucket."""

    ids: tuple[str, ...]
    tokens: int
    cost: float


class PoolSequence:
    """The micro-batches of a pool by position, epoch after epoch, as a function of the key and the position alone.

    Within an epoch a bucket's clips are shuffled and cut into as few micro-batches as the limit allows, of equal size
    but for one clip. Their order is random, but for this: every `run_length` of them, counted from the beginning of
    the sequence, cost nearly the same, so that as many ranks work on them equally long.

    Args:
        clips: the pool; at least one.
        limit: how many clips fit into a micro-batch.
        cost: of a clip.
        run_length: how many micro-batches in a row cost nearly the same.
        key: what the draws depend on.
    """

    def __init__(
        self, clips: Sequence[PooledClip], limit: BatchLimit, cost: CostModel, run_length: int, *key: int | str
    ) -> None:
        self._buckets: dict[str, list[PooledClip]] = {}
        for clip in sorted(clips, key=lambda clip: (clip.bucket, clip.clip_id)):
            self._buckets.setdefault(clip.bucket, []).append(clip)
        self._sizes = {name: _cut(len(members), limit.of(members[0])) for name, members in self._buckets.items()}
        self._cost, self._run_length, self._key = cost, run_length, key
        self.per_epoch = sum(map(len, self._sizes.values()))
        self._known: OrderedDict[int, list[Drawn]] = OrderedDict()

    def __getitem__(self, position: int) -> Drawn:
        """Micro-batch `position`, counted from 0 over all epochs."""
        epoch, place = divmod(position, self.per_epoch)
        if epoch not in self._known:
            self._known[epoch] = self.epoch(epoch)
            if len(self._known) > _KEPT_EPOCHS:
                self._known.popitem(last=False)
        return self._known[epoch][place]

    def epoch(self, epoch: int) -> list[Drawn]:
        """The micro-batches of an epoch in order."""
        drawn = [
            batch for name, members in self._buckets.items() for batch in self._bucket_batches(name, members, epoch)
        ]
        generator = generator_for(*self._key, "order", epoch)
        shuffled = [drawn[place] for place in torch.randperm(len(drawn), generator=generator).tolist()]
        if self._run_length == 1:
            return shuffled
        return _in_runs(shuffled, self._run_length, epoch * self.per_epoch, generator)

    def _bucket_batches(self, name: str, members: Sequence[PooledClip], epoch: int) -> list[Drawn]:
        order = torch.randperm(len(members), generator=generator_for(*self._key, "epoch", name, epoch)).tolist()
        tokens = members[0].tokens
        batches, start = [], 0
        for size in self._sizes[name]:
            ids = tuple(members[place].clip_id for place in order[start : start + size])
            batches.append(Drawn(ids, tokens * size, self._cost.clip(tokens) * size))
            start += size
        return batches


def _cut(count: int, limit: int) -> list[int]:
    """Sizes of as few parts as possible, equal but for one, the larger first."""
    parts = -(-count // limit)
    size, larger = divmod(count, parts)
    return [size + (part < larger) for part in range(parts)]


def _in_runs(shuffled: Sequence[Drawn], length: int, before: int, generator: torch.Generator) -> list[Drawn]:
    """Reorder so that every `length` in a row, counted from the sequence's beginning, cost nearly the same.

    Args:
        shuffled: an epoch's micro-batches.
        length: of a run.
        before: how many micro-batches came before this epoch.
        generator: for the order of the runs.
    """
    by_cost = sorted(shuffled, key=lambda batch: batch.cost)
    head = min(-before % length, len(by_cost))
    tail = (len(by_cost) - head) % length
    # Two epochs share a run: both take their part of it from the middle, so that it is even too.
    middle = (len(by_cost) - head - tail) // 2
    shared = by_cost[middle : middle + head + tail]
    rest = by_cost[:middle] + by_cost[middle + head + tail :]
    runs = [rest[start : start + length] for start in range(0, len(rest), length)]
    order = torch.randperm(len(runs), generator=generator).tolist()
    return shared[:head] + [batch for place in order for batch in runs[place]] + shared[head:]
