"""Rotary position embedding on one time axis for both modalities.

Video tokens are rotated by their (time, height, width) grid indices, each axis on its own share of the head; audio
tokens by time alone, on the share that video uses for time, their index scaled to video latent frames. Pairs of
channels are interleaved (2i, 2i+1) and rotated as complex numbers.

Tables are made on the CPU in float64, rounded once to cosines and sines in float32, and kept per shape and device.
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


def _positions(count: int) -> Tensor:
    return torch.arange(count, dtype=torch.float64, device="cpu")


def _angles(position_N: Tensor, num_pairs: int) -> Tensor:
    return position_N[:, None] * _BASE ** -(_positions(num_pairs) / num_pairs)


def _rotations(angle_LP: Tensor, device: torch.device | str | None) -> Tensor:
    return torch.complex(angle_LP.cos().float(), angle_LP.sin().float()).to(device or "cpu")


# Cached tensors must serve training too, whatever mode the first caller was in: hence no inference tensors.
@lru_cache(maxsize=64)
@torch.inference_mode(False)
def video_rotations(head_dim: int, grid_THW: tuple[int, int, int], device: torch.device | str | None = None) -> Tensor:
    """Unit complex rotations of a patch grid, [T*H*W, head_dim/2] complex64, tokens in t, h, w order."""
    frames, height, width = grid_THW
    pairs_t, pairs_h, pairs_w = axis_pairs(head_dim)
    angle_T = _angles(_positions(frames), pairs_t)[:, None, None].expand(frames, height, width, pairs_t)
    angle_H = _angles(_positions(height), pairs_h)[None, :, None].expand(frames, height, width, pairs_h)
    angle_W = _angles(_positions(width), pairs_w)[None, None, :].expand(frames, height, width, pairs_w)
    return _rotations(torch.cat([angle_T, angle_H, angle_W], dim=-1).flatten(0, 2), device)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def audio_rotations(head_dim: int, length: int, scale: float, device: torch.device | str | None = None) -> Tensor:
    """Unit complex rotations of audio tokens, [length, head_dim/2] complex64; the spatial pairs stay unrotated."""
    pairs_t, pairs_h, pairs_w = axis_pairs(head_dim)
    angle_LP = _angles(_positions(length) * scale, pairs_t)
    return _rotations(torch.cat([angle_LP, angle_LP.new_zeros(length, pairs_h + pairs_w)], dim=-1), device)


@lru_cache(maxsize=64)
@torch.inference_mode(False)
def joint_rotations(
    head_dim: int,
    grid_THW: tuple[int, int, int],
    audio_length: int,
    audio_scale: float,
    device: torch.device | str | None = None,
) -> Tensor:
    """Rotations of the joint sequence [video | audio]; a grid of zeros, or a length of 0, leaves a modality out."""
    video = video_rotations(head_dim, grid_THW, device)
    return torch.cat([video, audio_rotations(head_dim, audio_length, audio_scale, device)])


def apply_rope(x_BLHD: Tensor, rotation_LP: Tensor) -> Tensor:
    """Rotate queries or keys [batch, length, heads, head_dim]; computed in float32, returned in the input's dtype."""
    pair_BLHP2 = x_BLHD.float().unflatten(-1, (-1, 2))
    if torch.compiler.is_compiling():
        # The compiler fuses real arithmetic, but not complex; eagerly, complex is one pass over memory instead of six.
        cos, sin = torch.view_as_real(rotation_LP)[:, None].unbind(-1)
        real, imaginary = pair_BLHP2.unbind(-1)
        turned = torch.stack([real * cos - imaginary * sin, real * sin + imaginary * cos], dim=-1)
    else:
        turned = torch.view_as_real(torch.view_as_complex(pair_BLHP2) * rotation_LP[:, None, :])
    return turned.flatten(-2).to(x_BLHD.dtype)
