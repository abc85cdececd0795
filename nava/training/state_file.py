"""Files of sharded training state: each process writes what it owns, and any number of processes reads it again.

Why not DeepSpeed's files: theirs are pickles, fit one ZeRO stage and one number of processes, and are converted by a
program of their own for another. These hold named stretches of float32 parameters, whoever cut them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from nava.artifacts.checkpoint import CheckpointDamagedError
from nava.training.sharded_state import ShardedState

_STEP = "optimizer_step"
_PATTERN = "state-{rank:05d}.safetensors"


def state_file(folder: Path, rank: int) -> Path:
    """Where a process writes its state."""
    return folder / _PATTERN.format(rank=rank)


class Snapshot:
    """A copy of a process's state in main memory, which training goes on without touching."""

    def __init__(self, state: ShardedState) -> None:
        self._tensors: dict[str, Tensor] = {}
        for name, piece, values in state.pieces(saved=True):
            # A process may own two stretches of one parameter.
            self._tensors[f"{name}/{piece.name}@{piece.start}"] = values.detach().to("cpu", copy=True)
        self._step = state.optimizer_step

    def write(self, path: Path) -> None:
        """Write it as safetensors."""
        save_file(self._tensors, path, metadata={_STEP: repr(self._step)})


class StateFiles:
    """The state in a checkpoint's folder, read in stretches.

    Args:
        folder: of the checkpoint, whose files are verified.

    Raises:
        CheckpointDamagedError: there is no state in it, or a file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        paths = sorted(folder.glob(_PATTERN.format(rank=0).replace("00000", "*")))
        if not paths:
            raise CheckpointDamagedError(f"{folder.name} holds no training state")
        try:
            self._files = [safe_open(path, "pt") for path in paths]
        except Exception as error:
            raise CheckpointDamagedError(f"state in {folder.name} cannot be read ({error})") from error
        self.optimizer_step = max(float((file.metadata() or {}).get(_STEP, "0")) for file in self._files)
        # By state and parameter: where stretches begin, and which file has them under which key.
        self._starts: dict[tuple[str, str], list[int]] = defaultdict(list)
        self._places: dict[tuple[str, str], list[tuple[Any, str]]] = defaultdict(list)
        found = [(*_parsed(key), file, key) for file in self._files for key in file.keys()]  # noqa: SIM118 (no mapping)
        for state, name, start, file, key in sorted(found, key=lambda entry: entry[:3]):
            self._starts[state, name].append(start)
            self._places[state, name].append((file, key))

    def names(self, state: str) -> list[str]:
        """The parameters that a state has."""
        return sorted(name for of, name in self._starts if of == state)

    def read(self, state: str, name: str, start: int, numel: int) -> Tensor:
        """Elements [start, start + numel) of a flattened parameter; see `ShardedState.load`.

        Raises:
            CheckpointDamagedError: not all of them are there.
        """
        out, done = torch.empty(numel), 0
        starts = self._starts.get((state, name), [])
        for place in range(max(0, bisect_right(starts, start) - 1), len(starts)):
            file, key = self._places[state, name][place]
            values = file.get_slice(key)
            first, length = start + done - starts[place], values.get_shape()[0]
            count = min(numel - done, length - first)
            if first < 0 or count <= 0:
                break
            out[done : done + count] = values[first : first + count]
            done += count
            if done == numel:
                return out
        raise CheckpointDamagedError(f"{state} of {name} lacks elements from {start + done} on")

    def whole(self, state: str, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
        """Parameters of one state, put together."""
        return {name: self.read(state, name, 0, shape.numel()).reshape(shape) for name, shape in shapes.items()}


def _parsed(key: str) -> tuple[str, str, int]:
    state, _, rest = key.partition("/")
    name, _, start = rest.rpartition("@")
    return state, name, int(start)
