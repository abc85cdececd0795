"""What a model attends to besides its own tokens: text and timbre, made ready once per request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class KeyValues(NamedTuple):
    """Keys and values of one cross-attention, by head: [batch, rows, heads, head_dim]."""

    key: Tensor
    value: Tensor


# Keys and values of one block, by stream ("video" and "audio" in an alignment layer, "shared" in a fusion layer).
BlockContext = Mapping[str, KeyValues]


@dataclass(frozen=True)
class Context:
    """The context rows of a batch, and every block's keys and values of them. Nothing in it depends on the time."""

    rows: Tensor
    blocks: tuple[BlockContext, ...]

    def __len__(self) -> int:
        return len(self.rows)

    def expand(self, batch: int) -> Context:
        """The context of one sample, seen by `batch` samples without a copy.

        Raises:
            ValueError: there are several samples already, and not `batch` of them.
        """
        if len(self) == batch:
            return self
        if len(self) != 1:
            raise ValueError(f"a context of {len(self)} samples cannot serve a batch of {batch}")

        def seen(x: Tensor) -> Tensor:
            return x.expand(batch, *x.shape[1:])

        blocks = tuple({name: KeyValues(*map(seen, kv)) for name, kv in block.items()} for block in self.blocks)
        return Context(seen(self.rows), blocks)

    @staticmethod
    def cat(contexts: Sequence[Context]) -> Context:
        """Contexts of several batches as one."""
        blocks = tuple(
            {name: KeyValues(*map(torch.cat, zip(*(part[name] for part in parts)))) for name in parts[0]}
            for parts in zip(*(context.blocks for context in contexts))
        )
        return Context(torch.cat([context.rows for context in contexts]), blocks)
