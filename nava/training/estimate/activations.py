"""What a forward pass keeps for the backward pass, counted from the operations of the blocks.

Each operation of `nava.model.blocks` keeps its own inputs; what two of them keep is counted once. The counts are held
against the bytes that autograd saves in `tests/training/estimate`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from nava.config.model import ModelConfig
from nava.training.estimate.settings import RunSettings
from nava.training.estimate.workload import MicroBatchShape

_FLOAT32 = 4
_COMPLEX64 = 8
# Tensors as wide as the model that a block keeps of its tokens. Self-attention 9: its input, that input normalised,
# queries and keys before they are normalised, then queries, keys, values, result, and the projected result. The
# cross-attention 5: its input, that normalised, queries before and after, result. The feed-forward network 3: its
# input, that normalised, and its result. Besides, two as wide as the network's hidden layer.
_WIDE = 17
_RMS_NORMS = 3
_LAYER_NORMS = 3
# Noise, noised latents, target, prediction, error, and their gradient.
_LOSS_COPIES = 6


@dataclass(frozen=True)
class Activations:
    """Bytes on each GPU.

    Attributes:
        kept: all that waits for the backward pass.
        again: what one block keeps while it is computed again; 0 if nothing is.
        working: the gradients of the widest operation while it runs backward.
        loss: latents, noise and errors.
    """

    kept: float
    again: float
    working: float
    loss: float


def activation_bytes(batch: MicroBatchShape, settings: RunSettings, *, fused_norms: bool = True) -> Activations:
    """Activations of one micro-batch on each GPU of a group that shares it.

    Args:
        batch: the micro-batch.
        settings: of the run.
        fused_norms: RMSNorm is one kernel, as on a GPU. On the CPU it is several, and keeps float32 copies.
    """
    model, size = settings.model, settings.value_bytes
    shared = settings.training.sequence_parallel
    tokens = batch.clips * sum(math.ceil(count / shared) for count in (batch.tokens.video, batch.tokens.audio))
    streams = (batch.tokens.video > 0) + (batch.tokens.audio > 0)
    alignment = model.num_hal_layers + model.num_final_hal_layers

    def of_block(aligned: bool) -> float:
        per_token = _block_bytes_per_token(settings, batch.clips, aligned, fused_norms)
        return tokens * per_token + batch.clips * _context_bytes(settings, streams if aligned else 1, fused_norms)

    blocks = [of_block(True)] * alignment + [of_block(False)] * model.num_ufl_layers
    kept, again = sum(blocks), 0.0
    if settings.training.activation_checkpointing:
        kept, again = float(len(blocks) * tokens * model.dim * size), max(blocks)
    edges = _edge_bytes(batch, settings, tokens)
    return Activations(
        kept=kept + edges,
        again=again,
        working=tokens * _working_bytes_per_token(model, size),
        loss=_LOSS_COPIES * _FLOAT32 * batch.clips * batch.tokens.latents,
    )


def _block_bytes_per_token(settings: RunSettings, clips: int, aligned: bool, fused_norms: bool) -> float:
    model, size = settings.model, settings.value_bytes
    wide = _WIDE
    if clips > 1:
        # Each sample has its own shift and scale, so the normalised input is kept too, before both networks. In an
        # alignment layer each modality's part of a batch's attention is moved together.
        wide += 3 if aligned else 2
    if settings.training.sequence_parallel > 1:
        # The attention's result, in the order in which heads lie and in that in which tokens do.
        wide += 1
    statistics = _FLOAT32 * (2 * model.num_heads + 2 * _LAYER_NORMS)
    norms = _rms_norm_excess(settings, fused_norms) * _RMS_NORMS
    return (wide * model.dim + 2 * model.ffn_dim) * size + norms + statistics


def _rms_norm_excess(settings: RunSettings, fused: bool) -> float:
    """Bytes per token that an RMSNorm keeps beyond its input."""
    if fused:
        return _FLOAT32
    dim, size = settings.model.dim, settings.value_bytes
    # Unfused it keeps two float32 tensors; in float32 one of them is the input itself.
    return 2 * _FLOAT32 * dim - size * dim + _FLOAT32


def _context_bytes(settings: RunSettings, streams: int, fused_norms: bool) -> float:
    """Keys before and after they are normalised, and values, of the text's rows."""
    model = settings.model
    row = 3 * model.dim * settings.value_bytes + _rms_norm_excess(settings, fused_norms)
    return streams * model.text_len * row


def _edge_bytes(batch: MicroBatchShape, settings: RunSettings, tokens: float) -> float:
    """What stems, embeddings and heads keep, and the rotations that all blocks share."""
    model = settings.model
    patch = model.video_channels * math.prod(model.patch_size)
    video = batch.tokens.video * (patch + 2 * model.dim)
    audio = batch.tokens.audio * (model.audio_channels + 4 * model.dim + 4 * model.stem_hidden)
    text = model.text_len * (model.text_dim + 3 * model.dim)
    rotations = tokens / batch.clips * _COMPLEX64 * model.head_dim / 2
    return batch.clips * (video + audio + text) * settings.value_bytes + rotations


def _working_bytes_per_token(model: ModelConfig, size: int) -> float:
    """Gradients while a block runs backward: of the feed-forward network or of the attention, which ever is wider.

    The network has those of its hidden layer before and after the activation function, of its input and output and of
    what skips it; the attention those of queries, keys, values and result, and a float32 sum of the queries'.
    """
    network = (2 * model.ffn_dim + 3 * model.dim) * size
    attention = 5 * model.dim * size + model.dim * _FLOAT32
    return max(network, attention)
