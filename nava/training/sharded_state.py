"""What a process owns of the training state: stretches of the float32 weights, their moments and their average.

Every ZeRO stage cuts the parameters in its own way. Here all of them are flat tensors with pieces of named parameters
in them, so that averages and checkpoints need not know which stage it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

WEIGHT, AVERAGE = "weight", "average"
MOMENTS = ("exp_avg", "exp_avg_sq")
STATES = (WEIGHT, AVERAGE, *MOMENTS)


@dataclass(frozen=True)
class Piece:
    """A stretch of a parameter inside a partition.

    Attributes:
        name: of the parameter.
        start: of the stretch within the flattened parameter.
        offset: of the stretch within the partition.
        numel: its elements.
    """

    name: str
    start: int
    offset: int
    numel: int


@dataclass(frozen=True)
class Partition:
    """A float32 tensor that the optimizer updates, and the pieces of parameters that lie in it end to end.

    Attributes:
        weight: the tensor.
        pieces: what lies where in it, flattened.
        saved: whether this process saves it; of what all processes have, one does.
    """

    weight: Tensor
    pieces: tuple[Piece, ...]
    saved: bool = True


# Gives the elements [start, start + numel) of a parameter in one of the states, or None to leave them as they are.
ReadPiece = Callable[[str, str, int, int], Tensor | None]


class ShardedState:
    """This process's partitions, with the moments that its optimizer keeps for them and their moving average.

    Args:
        partitions: what this process owns.
        optimizer: updates `partition.weight` of each.
        refresh: lets the model's parameters follow the partitions' weights; all processes call it together.
    """

    def __init__(
        self, partitions: Sequence[Partition], optimizer: torch.optim.Optimizer, refresh: Callable[[], None]
    ) -> None:
        self.partitions = list(partitions)
        self._optimizer, self._refresh = optimizer, refresh
        self._averages = [partition.weight.detach().clone() for partition in self.partitions]

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """average = decay x average + (1 - decay) x weights."""
        torch._foreach_lerp_(self._averages, [partition.weight.data for partition in self.partitions], 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The model computes with the averaged weights inside, and with its own ones, to the bit, after.

        After an error they stay: to change them takes all processes, and the others know nothing of it.
        """
        self._swap()
        yield
        self._swap()

    @torch.no_grad()
    def _swap(self) -> None:
        for partition, average in zip(self.partitions, self._averages, strict=True):
            kept = partition.weight.data.clone()
            partition.weight.data.copy_(average)
            average.copy_(kept)
        self._refresh()

    @property
    def optimizer_step(self) -> float:
        """How many updates the moments have seen."""
        steps = [float(found["step"]) for found in map(self._moments, self.partitions) if "step" in found]
        return max(steps, default=0.0)

    def pieces(self, *, saved: bool = False) -> Iterator[tuple[str, Piece, Tensor]]:
        """(state, piece, its elements), views of what is trained; moments are there after the first update.

        Args:
            saved: only what this process saves.
        """
        for partition, average in zip(self.partitions, self._averages, strict=True):
            if saved and not partition.saved:
                continue
            tensors = {WEIGHT: partition.weight.data, AVERAGE: average}
            tensors |= {name: value for name, value in self._moments(partition).items() if name in MOMENTS}
            for state, tensor in tensors.items():
                flat = tensor.view(-1)
                for piece in partition.pieces:
                    yield state, piece, flat.narrow(0, piece.offset, piece.numel)

    @torch.no_grad()
    def load(self, read: ReadPiece, optimizer_step: float) -> None:
        """Replace the states by what `read` gives; all processes together.

        Args:
            read: see `ReadPiece`.
            optimizer_step: how many updates the moments have seen; 0 leaves the optimizer fresh.
        """
        for partition in self.partitions if optimizer_step else ():
            moments = self._optimizer.state[partition.weight]
            step = torch.tensor(optimizer_step, dtype=torch.float32)
            # Fused and capturable optimizers count on the device of the weights.
            moments["step"] = step.to(partition.weight.device)
            for name in MOMENTS:
                moments[name] = torch.zeros_like(partition.weight.data)
        for state, piece, values in self.pieces():
            found = read(state, piece.name, piece.start, piece.numel)
            if found is not None:
                values.copy_(found.reshape(-1))
        self._refresh()

    def _moments(self, partition: Partition) -> dict[str, Tensor]:
        return self._optimizer.state.get(partition.weight, {})


def reader_of(tensors: Mapping[str, Mapping[str, Tensor]]) -> ReadPiece:
    """Reads pieces out of whole parameters: by state, then by name."""

    def read(state: str, name: str, start: int, numel: int) -> Tensor | None:
        if state not in tensors:
            return None
        return tensors[state][name].reshape(-1).narrow(0, start, numel)

    return read
