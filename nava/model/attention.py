"""Attention over video and audio tokens, and from tokens to the context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm, scaled_dot_product_attention

from nava.model.context import BlockContext, KeyValues
from nava.model.rope import apply_rope

Modality = Literal["video", "audio"]

# Suffix of the audio stream's modules in the state dict; the video stream's (and a shared set's) have none.
_SUFFIX: dict[str, str] = {"video": "", "audio": "_audio", "shared": ""}


class RMSNorm(nn.Module):
    """Root-mean-square normalisation over the whole width, before the split into heads."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(dim))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Normalise the last axis in float32; the result has the input's dtype."""
        return rms_norm(x, x.shape[-1:], self.weight.to(x.dtype), self.eps).to(x.dtype)


@dataclass(frozen=True)
class TokenLayout:
    """Which tokens of a joint sequence [video | audio] there are, where they lie, and who may attend to whom."""

    num_video: int
    num_audio: int
    # Rotary rotations of the joint sequence, complex [length, head_dim / 2].
    rotations: Tensor
    # Valid tokens, [batch, length]; None when every token is valid.
    valid: Tensor | None = None
    # True keeps the modalities apart in every sample; a flag per sample does so in those samples where it is set.
    mask_modality: bool | Sequence[bool] = False
    # Leading video tokens whose time is the first of two rows of the time embedding; 0 when all tokens share one row.
    num_clean: int = 0

    def rotation(self, modality: Modality) -> Tensor:
        """Rotations of one modality's tokens."""
        return self.rotations[: self.num_video] if modality == "video" else self.rotations[self.num_video :]

    def attend(self, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor) -> Tensor:
        """Attention of the joint sequence under the layout's masks, [batch, length, heads, head_dim]."""
        parts = [
            self._attend(q_BLHD[run], k_BLHD[run], v_BLHD[run], None if self.valid is None else self.valid[run], apart)
            for run, apart in self.runs(len(q_BLHD))
        ]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, valid_BL: Tensor | None, apart: bool) -> Tensor:
        if not apart:
            return attention(q, k, v, _keys(valid_BL))
        sizes = (self.num_video, self.num_audio)
        valids = (None, None) if valid_BL is None else valid_BL.split(sizes, dim=1)
        streams = zip(q.split(sizes, dim=1), k.split(sizes, dim=1), v.split(sizes, dim=1), valids)
        return torch.cat([attention(q, k, v, _keys(valid)) for q, k, v, valid in streams], dim=1)

    def runs(self, batch: int) -> list[tuple[slice, bool]]:
        """Neighbouring samples that are treated alike, and whether their modalities are kept apart.

        Two dense calls cost less than one with a mask over all pairs of tokens.
        """
        if not (self.num_video and self.num_audio):
            return [(slice(None), False)]
        if isinstance(self.mask_modality, bool):
            return [(slice(None), self.mask_modality)]
        if len(self.mask_modality) != batch:
            raise ValueError(f"{len(self.mask_modality)} modality mask flags for a batch of {batch}")
        runs, start = [], 0
        for apart, members in groupby(map(bool, self.mask_modality)):
            end = start + len(list(members))
            runs.append((slice(start, end), apart))
            start = end
        return runs


def _keys(valid_BL: Tensor | None) -> Tensor | None:
    return None if valid_BL is None else valid_BL[:, None, None, :]


def attention(q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor, mask: Tensor | None = None) -> Tensor:
    """Softmax attention; `mask` is True where a query may see a key and broadcasts to [batch, heads, L, L]."""
    out = scaled_dot_product_attention(
        q_BLHD.transpose(1, 2), k_BLHD.transpose(1, 2), v_BLHD.transpose(1, 2), attn_mask=mask
    )
    return out.transpose(1, 2)


class Attention(nn.Module):
    """Query, key, value and output projections with normalised queries and keys, one set per stream.

    `streams` is ("shared",) for a fusion layer and ("video", "audio") for an alignment layer; the audio stream's
    modules carry the suffix `_audio` (q_audio, norm_q_audio, ...), as in the released state dict.
    """

    def __init__(self, dim: int, num_heads: int, eps: float, streams: Sequence[str] = ("shared",)) -> None:
        super().__init__()
        self.num_heads = num_heads
        for stream in streams:
            for name in ("q", "k", "v", "o"):
                self.add_module(name + _SUFFIX[stream], nn.Linear(dim, dim))
            for name in ("norm_q", "norm_k"):
                self.add_module(name + _SUFFIX[stream], RMSNorm(dim, eps))

    def _module(self, name: str, stream: str) -> nn.Module:
        module: nn.Module = getattr(self, name + _SUFFIX[stream])
        return module

    def _heads(self, x_BLD: Tensor) -> Tensor:
        return x_BLD.unflatten(-1, (self.num_heads, -1))

    def queries(self, x_BLD: Tensor, stream: str = "shared") -> Tensor:
        """Normalised queries of tokens, by head."""
        return self._heads(self._module("norm_q", stream)(self._module("q", stream)(x_BLD)))

    def key_values(self, source_BND: Tensor, stream: str = "shared") -> KeyValues:
        """Normalised keys, and values, of tokens or of context rows, by head."""
        key = self._heads(self._module("norm_k", stream)(self._module("k", stream)(source_BND)))
        return KeyValues(key, self._heads(self._module("v", stream)(source_BND)))

    def project(
        self,
        x_BLD: Tensor,
        context_BND: Tensor | None = None,
        rotation_LP: Tensor | None = None,
        stream: str = "shared",
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of the tokens, keys and values of the context (of the tokens themselves without one), by head."""
        q = self.queries(x_BLD, stream)
        k, v = self.key_values(x_BLD if context_BND is None else context_BND, stream)
        if rotation_LP is not None:
            q, k = apply_rope(q, rotation_LP), apply_rope(k, rotation_LP)
        return q, k, v

    def output(self, x_BLHD: Tensor, stream: str = "shared") -> Tensor:
        """Merge the heads and project."""
        out: Tensor = self._module("o", stream)(x_BLHD.flatten(-2))
        return out

    def cross(self, x_BLD: Tensor, context: Tensor | BlockContext, stream: str = "shared") -> Tensor:
        """Attention from tokens to every row of the context: no position, no mask.

        `context` is rows [batch, rows, dim], or the keys and values that `key_values` made of them before.
        """
        q = self.queries(x_BLD, stream)
        k, v = self.key_values(context, stream) if isinstance(context, Tensor) else context[stream]
        return self.output(attention(q, k, v), stream)
