"""Attention over video and audio tokens, and from tokens to the context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm, scaled_dot_product_attention

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
        """Normalise the last axis in float32; the weight is applied in the input's dtype."""
        return rms_norm(x.float(), x.shape[-1:], eps=self.eps).to(x.dtype) * self.weight.to(x.dtype)


@dataclass(frozen=True)
class TokenLayout:
    """Which tokens of a joint sequence [video | audio] there are, where they lie, and who may attend to whom."""

    num_video: int
    num_audio: int
    # Rotary rotations of the joint sequence, complex [length, head_dim / 2].
    rotations: Tensor
    # Valid tokens, [batch, length]; None when every token is valid.
    valid: Tensor | None = None
    # True keeps the modalities apart in every sample; a bool tensor [batch] in those samples where it is True.
    mask_modality: bool | Tensor = False

    def rotation(self, modality: Modality) -> Tensor:
        """Rotations of one modality's tokens."""
        return self.rotations[: self.num_video] if modality == "video" else self.rotations[self.num_video :]

    def attend(self, q_BLHD: Tensor, k_BLHD: Tensor, v_BLHD: Tensor) -> Tensor:
        """Attention of the joint sequence under the layout's masks, [batch, length, heads, head_dim]."""
        if self.mask_modality is True and self.num_video and self.num_audio:
            sizes = (self.num_video, self.num_audio)
            valid = (None, None) if self.valid is None else self.valid.split(sizes, dim=1)
            parts = zip(q_BLHD.split(sizes, 1), k_BLHD.split(sizes, 1), v_BLHD.split(sizes, 1), valid)
            return torch.cat([attention(q, k, v, _keys(allowed)) for q, k, v, allowed in parts], dim=1)
        return attention(q_BLHD, k_BLHD, v_BLHD, self._mask())

    def _mask(self) -> Tensor | None:
        keys = _keys(self.valid)
        if not isinstance(self.mask_modality, Tensor) or not (self.num_video and self.num_audio):
            return keys
        is_audio_L = torch.arange(len(self.rotations), device=self.rotations.device) >= self.num_video
        same_LL = is_audio_L[:, None] == is_audio_L[None, :]
        allowed = same_LL | ~self.mask_modality.to(torch.bool)[:, None, None, None]
        return allowed if keys is None else allowed & keys


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
        return self.get_submodule(name + _SUFFIX[stream])

    def _heads(self, x_BLD: Tensor) -> Tensor:
        return x_BLD.unflatten(-1, (self.num_heads, -1))

    def project(
        self,
        x_BLD: Tensor,
        context_BND: Tensor | None = None,
        rotation_LP: Tensor | None = None,
        stream: str = "shared",
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries of the tokens, keys and values of the context (of the tokens themselves without one), by head."""
        source = x_BLD if context_BND is None else context_BND
        q = self._heads(self._module("norm_q", stream)(self._module("q", stream)(x_BLD)))
        k = self._heads(self._module("norm_k", stream)(self._module("k", stream)(source)))
        v = self._heads(self._module("v", stream)(source))
        if rotation_LP is not None:
            q, k = apply_rope(q, rotation_LP), apply_rope(k, rotation_LP)
        return q, k, v

    def output(self, x_BLHD: Tensor, stream: str = "shared") -> Tensor:
        """Merge the heads and project."""
        return self._module("o", stream)(x_BLHD.flatten(-2))

    def cross(self, x_BLD: Tensor, context_BND: Tensor, stream: str = "shared") -> Tensor:
        """Attention from tokens to every row of the context: no position, no mask."""
        return self.output(attention(*self.project(x_BLD, context_BND, stream=stream)), stream)
