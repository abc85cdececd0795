"""What turns latents, times, text and speakers into tokens and context rows."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import silu

_STEM_KERNEL = 7


def patchify(video_BCTHW: Tensor, patch: tuple[int, int, int]) -> Tensor:
    """Cut latents into patches, [batch, tokens, channels * patch volume], tokens in t, h, w order."""
    batch, channels, frames, height, width = video_BCTHW.shape
    pt, ph, pw = patch
    cut = video_BCTHW.reshape(batch, channels, frames // pt, pt, height // ph, ph, width // pw, pw)
    return cut.permute(0, 2, 4, 6, 1, 3, 5, 7).reshape(batch, -1, channels * pt * ph * pw)


def unpatchify(token_BLP: Tensor, grid_THW: tuple[int, int, int], patch: tuple[int, int, int]) -> Tensor:
    """Put predicted patches, stored as (patch volume, channels), back into latents [batch, channels, T, H, W]."""
    (frames, height, width), (pt, ph, pw) = grid_THW, patch
    grid = token_BLP.reshape(len(token_BLP), frames, height, width, pt, ph, pw, -1)
    return grid.permute(0, 7, 1, 4, 2, 5, 3, 6).reshape(len(token_BLP), -1, frames * pt, height * ph, width * pw)


def sinusoid(timestep_B: Tensor, dim: int) -> Tensor:
    """Sinusoidal embedding [batch, dim] of timesteps in [0, 1000], cosines first, computed in float64."""
    half = dim // 2
    frequency_H = 10000.0 ** -(torch.arange(half, dtype=torch.float64, device=timestep_B.device) / half)
    angle_BH = timestep_B.double()[:, None] * frequency_H
    return torch.cat([angle_BH.cos(), angle_BH.sin()], dim=-1)


class TemporalConv(nn.Conv1d):
    """A convolution along time of kernel 7 that keeps the length, on channels-last sequences."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool) -> None:
        super().__init__(in_channels, out_channels, _STEM_KERNEL, padding=_STEM_KERNEL // 2, bias=bias)

    def forward(self, x_BLC: Tensor) -> Tensor:
        """Map [batch, length, in_channels] to [batch, length, out_channels]."""
        return super().forward(x_BLC.transpose(1, 2)).transpose(1, 2)


class GatedConv(nn.Module):
    """A SwiGLU whose three maps are convolutions along time."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.w1 = TemporalConv(dim, hidden, bias=False)
        self.w2 = TemporalConv(hidden, dim, bias=False)
        self.w3 = TemporalConv(dim, hidden, bias=False)

    def forward(self, x_BLD: Tensor, valid_BL1: Tensor | None = None) -> Tensor:
        """Map [batch, length, dim] to the same shape; padding stays zero between the convolutions."""
        hidden = silu(self.w1(x_BLD)) * self.w3(x_BLD)
        return self.w2(hidden if valid_BL1 is None else hidden * valid_BL1)


class AudioStem(nn.ModuleList):
    """Audio latents to tokens: convolution, SiLU, gated convolution. A sample's padding never reaches its tokens."""

    def __init__(self, channels: int, dim: int, hidden: int) -> None:
        super().__init__([TemporalConv(channels, dim, bias=True), nn.SiLU(), GatedConv(dim, hidden)])

    def forward(self, audio_BLC: Tensor, valid_BL: Tensor | None = None) -> Tensor:
        """Map latents [batch, length, channels] to tokens [batch, length, dim]."""
        first, activation, gated = self
        if valid_BL is None:
            return gated(activation(first(audio_BLC)))
        valid_BL1 = valid_BL[..., None].to(audio_BLC.dtype)
        return gated(activation(first(audio_BLC * valid_BL1)) * valid_BL1, valid_BL1)


class SpeakerEmbedding(nn.Module):
    """A speaker vector to a context row; an all-zero vector means an unknown speaker and gives a learned row."""

    def __init__(self, speaker_dim: int, dim: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.LayerNorm(speaker_dim), nn.Linear(speaker_dim, dim), nn.SiLU(), nn.Linear(dim, dim))
        self.out_norm = nn.LayerNorm(dim)
        self.null_token = nn.Parameter(torch.zeros(1, dim))

    def forward(self, speaker_SE: Tensor) -> Tensor:
        """Map speaker vectors [speakers, speaker_dim] to context rows [speakers, dim]."""
        unknown_S1 = speaker_SE.square().sum(dim=-1, keepdim=True) <= 1e-6
        return torch.where(unknown_S1, self.null_token, self.out_norm(self.net(speaker_SE)))


def patch_volume(patch: tuple[int, int, int]) -> int:
    """Latent positions in one patch."""
    return math.prod(patch)
