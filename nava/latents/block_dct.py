"""Block DCT of video: the fallback that needs no corpus. On material unlike the corpus it beats the fitted PCA."""

import math
from typing import Self

import torch
from torch import Tensor

from nava.config.latents import VideoCodecConfig
from nava.latents.blocks import RGB, BlockTransformCodec, channel_scale
from nava.runtime.errors import InputError

# How much a chroma coefficient must gain on a luma one to be kept, in units of spatial frequency.
CHROMA_COST = 2.5
TEMPORAL_COST = 2.0


class BlockDctCodec(BlockTransformCodec):
    """Keeps the cheapest coefficients of an orthonormal 3-D DCT in an orthonormal opponent colour space."""

    type_name = "block_dct"

    @classmethod
    def build(cls, config: VideoCodecConfig) -> Self:
        """Make the codec from its settings alone."""
        basis_CD, cost_C = dct_basis(config.channels, config.temporal_stride, config.spatial_stride)
        block_size = basis_CD.shape[1]
        # Deviations fall with frequency roughly as 1 / (1 + cost); the DC of luma spreads over half of its range.
        deviation_C = 0.5 * math.sqrt(block_size / RGB) / (1 + cost_C)
        scale_C = channel_scale(deviation_C, config.whitening)
        return cls(basis_CD, torch.zeros(block_size), scale_C, config.temporal_stride, config.spatial_stride)


def opponent_colours() -> Tensor:
    """Orthonormal [3, 3]: brightness, red-blue, green-magenta."""
    rows = torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [1.0, -2.0, 1.0]])
    return rows / rows.norm(dim=1, keepdim=True)


def dct_basis(channels: int, temporal_stride: int, spatial_stride: int) -> tuple[Tensor, Tensor]:
    """The ``channels`` cheapest basis vectors [C, D] over RGB blocks, and the cost of each [C].

    Cost: ``sqrt(ky^2 + kx^2) + 2 kt``, plus 2.5 for the two chroma axes.
    """
    block_size = temporal_stride * spatial_stride**2 * RGB
    if channels > block_size:
        raise InputError(f"a block has only {block_size} values, got {channels} channels")
    time_KT, space_KS = _dct_matrix(temporal_stride), _dct_matrix(spatial_stride)
    time_T, space_S = torch.arange(temporal_stride), torch.arange(spatial_stride)
    luma_cost_TYX = torch.hypot(space_S[:, None].float(), space_S[None].float()) + TEMPORAL_COST * time_T[:, None, None]
    cost_TYXC = luma_cost_TYX[..., None] + torch.tensor([0.0, CHROMA_COST, CHROMA_COST])
    order = torch.argsort(cost_TYXC.flatten(), stable=True)[:channels]
    t, y, x, c = torch.unravel_index(order, cost_TYXC.shape)
    basis = torch.einsum("kt,ky,kx,kc->ktyxc", time_KT[t], space_KS[y], space_KS[x], opponent_colours()[c])
    return basis.flatten(1), cost_TYXC.flatten()[order]


def _dct_matrix(size: int) -> Tensor:
    """Orthonormal DCT-II, one basis vector per row."""
    frequency_K1, position_S = torch.arange(size)[:, None], torch.arange(size)
    matrix = torch.cos(math.pi / size * (position_S + 0.5) * frequency_K1) * math.sqrt(2.0 / size)
    matrix[0] /= math.sqrt(2.0)
    return matrix
