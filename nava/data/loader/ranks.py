"""Who works on what: a step's micro-batches dealt out to ranks so that all have nearly the same to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from nava.runtime.errors import InputError

if TYPE_CHECKING:
    from nava.data.loader.sampler import SampledBatch


def deal(batches: Sequence[SampledBatch], ranks: int) -> list[list[SampledBatch]]:
    """A step's micro-batches by rank; each rank has as many, in the order it works on them.

    What ranks work on at the same time is of one task wherever a step allows it, and nearly equal in cost; and so
    is what each has to do in the whole step: the costliest of each round goes to the rank with the least so far.

    Args:
        batches: consecutive micro-batches of the order.
        ranks: how many there are.

    Raises:
        InputError: the micro-batches do not divide among the ranks.
    """
    if ranks < 1 or len(batches) % ranks:
        raise InputError(
            f"{len(batches)} micro-batches of a step cannot be dealt out to {ranks} ranks: the number of ranks must "
            "divide it"
        )
    ordered = sorted(batches, key=lambda batch: (batch.task.value, -batch.cost, batch.number))
    dealt: list[list[SampledBatch]] = [[] for _ in range(ranks)]
    totals = [0.0] * ranks
    for start in range(0, len(ordered), ranks):
        costliest_first = sorted(ordered[start : start + ranks], key=lambda batch: (-batch.cost, batch.number))
        least_first = sorted(range(ranks), key=lambda rank: (totals[rank], rank))
        for rank, batch in zip(least_first, costliest_first, strict=True):
            dealt[rank].append(batch)
            totals[rank] += batch.cost
    return dealt


def one_task_at_a_time(per_step: int, ranks: int, run_length: int) -> bool:
    """Whether ranks work on the same task at the same time; see `require_one_task_at_a_time`."""
    return ranks == 1 or (run_length % ranks == 0 and (per_step % run_length == 0 or run_length % per_step == 0))


def require_one_task_at_a_time(per_step: int, ranks: int, run_length: int) -> None:
    """Refuse an order in which ranks would work on different tasks at the same time.

    Those run different parts of the model, and ranks that gather parameters from each other (ZeRO 3) would wait for
    each other for ever.

    Args:
        per_step: micro-batches of a step.
        ranks: how many there are.
        run_length: micro-batches in a row that have one task.

    Raises:
        InputError: names the setting to change.
    """
    if not one_task_at_a_time(per_step, ranks, run_length):
        raise InputError(
            f"loader.run_length is {run_length}: with {ranks} ranks and {per_step} micro-batches per step, ranks would "
            f"work on different tasks at once; set it to a multiple of {ranks} that divides {per_step}"
        )


def imbalance(dealt: Sequence[Sequence[SampledBatch]]) -> float:
    """How much longer the busiest rank works than the mean: 0 is perfect balance, 0.1 wastes about a tenth."""
    totals = [sum(batch.cost for batch in batches) for batches in dealt]
    return max(totals) * len(totals) / sum(totals) - 1
