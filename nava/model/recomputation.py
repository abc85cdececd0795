"""Activation checkpointing: blocks are computed again in the backward pass instead of keeping what they computed."""

from __future__ import annotations

from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint


def recompute_blocks(model: nn.Module) -> nn.Module:
    """Let every block of a transformer keep its inputs alone for the backward pass; names in the state dict stay.

    Blocks with dropout draw the same random numbers again.
    """
    for blocks in model.children():
        if type(blocks) is nn.ModuleList:
            for block in blocks:
                _recompute(block)
    return model


def _recompute(block: nn.Module) -> None:
    forward = block.forward
    draws = any(isinstance(module, nn.Dropout) and module.p > 0 for module in block.modules())

    def recomputed(*args: Any, **kwargs: Any) -> Any:
        return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=draws, **kwargs)

    block.forward = recomputed
