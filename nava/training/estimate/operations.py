"""Floating-point operations of a pass, in closed form: matrix products, convolutions and attention, 2 per multiply-add.

Normalisations, activation functions and rotations are left out, as `torch.utils.flop_counter` leaves them out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nava.config.model import ModelConfig
from nava.training.estimate.parameters import Parameters
from nava.training.estimate.settings import RunSettings
from nava.training.estimate.workload import MicroBatchShape, Tokens

_STEM_KERNEL = 7


@dataclass(frozen=True)
class Operations:
    """FLOPs of a forward pass.

    Attributes:
        linear: products with weights, in the blocks.
        attention: scores and weighted sums, in the blocks.
        edges: stems, embeddings and heads.
    """

    linear: float
    attention: float
    edges: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.linear + self.attention + self.edges

    def __mul__(self, times: float) -> Operations:
        return Operations(self.linear * times, self.attention * times, self.edges * times)


def forward_operations(model: ModelConfig, tokens: Tokens, clips: int = 1) -> Operations:
    """Operations of a forward pass over `clips` samples with their text, all tokens seeing each other."""
    per_clip = Operations(*_blocks(model, tokens), _edges(model, tokens))
    return per_clip * clips


def _blocks(model: ModelConfig, tokens: Tokens) -> tuple[float, float]:
    """Products with weights, and attention, of all blocks."""
    dim, length, rows = model.dim, tokens.total, model.text_len
    streams = (tokens.video > 0) + (tokens.audio > 0)
    alignment = model.num_hal_layers + model.num_final_hal_layers
    # Queries, keys, values, output; queries and output to the context; two maps of the feed-forward network.
    per_token = 6 * dim**2 + 2 * dim * model.ffn_dim
    # Keys and values of the context, once for each set of weights.
    context = 2 * dim**2 * rows * (alignment * streams + model.num_ufl_layers)
    blocks = alignment + model.num_ufl_layers
    attention = 2 * dim * length * (length + rows)
    return 2 * (blocks * length * per_token + context), 2 * blocks * attention


def _edges(model: ModelConfig, tokens: Tokens) -> float:
    dim = model.dim
    patch = model.video_channels * math.prod(model.patch_size)
    stem = _STEM_KERNEL * (model.audio_channels * dim + 3 * dim * model.stem_hidden)
    text = model.text_len * (model.text_dim * dim + dim**2)
    time = tokens.times * (model.freq_dim * dim + dim**2 + 6 * dim**2)
    heads = tokens.video * 2 * patch * dim + tokens.audio * (stem + dim * model.audio_channels)
    return 2 * (text + time + heads)


def needed_operations(forward: Operations, parameters: Parameters) -> float:
    """Operations of forward and backward, the numerator of MFU: the backward pass counts as two forward passes.

    The gradient of a frozen weight is not computed, which saves one of its three; adapters add three of their own.
    """
    if not parameters.adapters:
        return 3 * forward.total
    return 2 * (forward.linear + forward.edges) + 3 * (forward.attention + _adapters(forward, parameters))


def repeated_operations(forward: Operations, settings: RunSettings, parameters: Parameters) -> float:
    """Operations of the blocks' second forward pass; 0 if activations are kept."""
    if not settings.training.activation_checkpointing:
        return 0.0
    return forward.linear + forward.attention + _adapters(forward, parameters)


def _adapters(forward: Operations, parameters: Parameters) -> float:
    """The adapters' part of a forward pass: as many operations per parameter as the blocks have."""
    blocks = sum(count for part, count in parameters.parts.items() if part.endswith("layers"))
    return forward.linear * parameters.adapters / blocks


def micro_batch_operations(batch: MicroBatchShape, settings: RunSettings) -> Operations:
    """Forward operations of a micro-batch."""
    return forward_operations(settings.model, batch.tokens, batch.clips)
