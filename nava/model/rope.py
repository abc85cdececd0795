"""Rotary position embedding on one time axis for both modalities.

Video tokens are rotated by their (time, height, width) grid indices, each axis on its own share of the head; audio
tokens by time alone, on the share that video uses for time, their index scaled to video latent frames. Pairs of
channels are interleaved (2i, 2i+1) and rotated as complex numbers.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

_BASE = 10000.0


def axis_pairs(head_dim: int) -> tuple[int, int, int]:
    """Number of complex pairs of a head rotated by time, height and width."""
    if head_dim % 2:
        raise ValueError(f"head_dim must be even for rotary embedding, got {head_dim}")
    spatial = head_dim // 6
    return head_dim // 2 - 2 * spatial, spatial, spatial


def _angles(position_N: Tensor, num_pairs: int) -> Tensor:
    exponent_P = torch.arange(num_pairs, dtype=torch.float64) / num_pairs
    return position_N[:, None] * _BASE**-exponent_P


def _rotations(angle_LP: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(angle_LP), angle_LP).to(torch.complex64)


@lru_cache(maxsize=64)
def video_rotations(head_dim: int, grid_THW: tuple[int, int, int]) -> Tensor:
    """Unit complex rotations of a patch grid, [T*H*W, head_dim/2] complex64, tokens in t, h, w order."""
    frames, height, width = grid_THW
    pairs_t, pairs_h, pairs_w = axis_pairs(head_dim)
    axes = torch.arange(max(grid_THW), dtype=torch.float64)
    angle_T = _angles(axes[:frames], pairs_t)[:, None, None].expand(frames, height, width, pairs_t)
    angle_H = _angles(axes[:height], pairs_h)[None, :, None].expand(frames, height, width, pairs_h)
    angle_W = _angles(axes[:width], pairs_w)[None, None, :].expand(frames, height, width, pairs_w)
    return _rotations(torch.cat([angle_T, angle_H, angle_W], dim=-1).flatten(0, 2))


@lru_cache(maxsize=64)
def audio_rotations(head_dim: int, length: int, scale: float) -> Tensor:
    """Unit complex rotations of audio tokens, [length, head_dim/2] complex64; the spatial pairs stay unrotated."""
    pairs_t, pairs_h, pairs_w = axis_pairs(head_dim)
    angle_LP = _angles(torch.arange(length, dtype=torch.float64) * scale, pairs_t)
    return _rotations(torch.cat([angle_LP, angle_LP.new_zeros(length, pairs_h + pairs_w)], dim=-1))


def apply_rope(x_BLHD: Tensor, rotation_LP: Tensor) -> Tensor:
    """Rotate queries or keys [batch, length, heads, head_dim]; computed in float32, returned in the input's dtype."""
    pairs = torch.view_as_complex(x_BLHD.float().unflatten(-1, (-1, 2)))
    return torch.view_as_real(pairs * rotation_LP[:, None, :]).flatten(-2).to(x_BLHD.dtype)
