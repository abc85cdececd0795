"""The processes that train together: who they are, how they find each other, and when they give up waiting."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor

from nava.config.training import TrainingConfig
from nava.runtime.errors import InputError, NavaError

# How the errors of gloo and NCCL read when others did not come in time, and when one of them is gone.
_WAITED = ("Timed out waiting", "timeout", "Timeout")
_GONE = ("Connection closed by peer", "Connection reset by peer", "Broken pipe", "remote process exited")


class CollectiveError(NavaError):
    """The processes that train together lost each other."""


@contextmanager
def collective_errors(world: World, timeout_s: float) -> Iterator[None]:
    """Say in one line why a collective operation failed: others waited for too long, or are gone.

    Raises:
        CollectiveError: in place of the library's error.
    """
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if world.size > 1 and any(words in text for words in _GONE):
            raise CollectiveError(
                f"process {world.rank} lost another process: that one's log says why it ended"
            ) from error
        if world.size > 1 and any(words in text for words in _WAITED):
            raise CollectiveError(
                f"process {world.rank} waited longer than {timeout_s:g} s for the other processes "
                "(training.guard.collective_timeout_s): one of them hangs or is far behind"
            ) from error
        raise


@dataclass(frozen=True)
class World:
    """This process and its companions.

    Every `sequence_parallel` neighbours work on the same micro-batches, and share their tokens.

    Attributes:
        rank, size: this process's number and how many there are.
        local_rank: its number on its machine, which picks its GPU.
        sequence_parallel: processes that share one micro-batch.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    sequence_parallel: int = 1

    @property
    def data_rank(self) -> int:
        """Number of the group of neighbours: whose part of the micro-batches these are."""
        return self.rank // self.sequence_parallel

    @property
    def data_size(self) -> int:
        """Groups of neighbours: how many parts the micro-batches are divided into."""
        return self.size // self.sequence_parallel

    @property
    def leads(self) -> bool:
        """Whether this process writes what is written once."""
        return self.rank == 0

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return torch.device("cuda", self.local_rank) if torch.cuda.is_available() else torch.device("cpu")

    def check(self, config: TrainingConfig) -> None:
        """Refuse a recipe that so many processes cannot run.

        Raises:
            InputError: names the setting and what it may be.
        """
        if self.size % config.sequence_parallel:
            raise InputError(
                f"training.sequence_parallel is {config.sequence_parallel}, which does not divide {self.size} processes"
            )
        if config.micro_batches_per_step % self.data_size:
            raise InputError(
                f"training.micro_batches_per_step is {config.micro_batches_per_step}; {self.data_size} groups of "
                f"processes can only share a multiple of {self.data_size}"
            )
        if config.engine == "plain" and self.size > 1:
            raise InputError(f"training.engine=plain runs in one process, not in {self.size}; use deepspeed")

    def barrier(self) -> None:
        """Wait for all."""
        if self.size > 1:
            dist.barrier()

    def all_agree(self, fine: bool) -> bool:
        """Whether it is fine for every process."""
        return bool(self.least(torch.tensor(float(fine))))

    def any_says(self, so: bool) -> bool:
        """Whether one process says so."""
        return not self.all_agree(not so)

    def least(self, value: Tensor) -> Tensor:
        """The smallest of all processes' values, element by element."""
        return self._reduced(value, dist.ReduceOp.MIN)

    def gathered(self, value: Tensor) -> Tensor:
        """What the groups of neighbours have, [groups, ...], in their order."""
        if self.size == 1:
            return value[None]
        sent = value.to(self.device)
        parts = [torch.empty_like(sent) for _ in range(self.size)]
        dist.all_gather(parts, sent)
        return torch.stack(parts[:: self.sequence_parallel]).cpu()

    def from_leader(self, value: object) -> object:
        """What the first process has; on the others `value` is not looked at."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box, src=0, device=self.device)
        return box[0]

    def _reduced(self, value: Tensor, operation: dist.ReduceOp.RedOpType) -> Tensor:
        if self.size == 1:
            return value
        sent = value.to(self.device)
        dist.all_reduce(sent, operation)
        return sent.cpu()


def limit_waiting(timeout_s: float) -> None:
    """Let every group of processes give up after this time: groups are made with a limit of torch's own (30 min)."""
    if dist.is_initialized():
        for group in dist.distributed_c10d._world.pg_map:
            dist.distributed_c10d._set_pg_timeout(timedelta(seconds=timeout_s), group)


def join_world(config: TrainingConfig) -> World:
    """Meet the other processes that `torchrun` started; without it this process is alone.

    A collective operation that waits longer than `guard.collective_timeout_s` fails.

    Raises:
        InputError: the recipe cannot be run by so many processes.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank, local_rank = int(os.environ.get("RANK", "0")), int(os.environ.get("LOCAL_RANK", "0"))
    world = World(rank, size, local_rank, config.sequence_parallel)
    world.check(config)
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank)
    if (size > 1 or config.engine == "deepspeed") and not dist.is_initialized():
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        # Gloo asks the name server who this machine is; where all processes are on one machine, it need not.
        if size == int(os.environ.get("LOCAL_WORLD_SIZE", "1")) and Path("/sys/class/net/lo").exists():
            os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
        timeout = timedelta(seconds=config.guard.collective_timeout_s)
        # Alone there is nobody to meet, so the group lives in memory and no port is opened.
        store = dist.HashStore() if size == 1 else None
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=timeout)
    return world
