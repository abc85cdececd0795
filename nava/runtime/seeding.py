"""Random draws that can be asked for again: generators seeded by what they are for, not by how often one was asked."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def derived_seed(*parts: int | str) -> int:
    """A seed in [0, 2^63) that depends on all `parts`, equal on every machine."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_for(*parts: int | str) -> torch.Generator:
    """A CPU generator seeded from `parts`."""
    import torch

    return torch.Generator().manual_seed(derived_seed(*parts))
