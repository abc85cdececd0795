"""Block PCA (Karhunen-Loeve transform) of video, fitted on a corpus by subspace iteration.

PCA is invariant under an orthonormal change of colour axes, so the fit works on RGB as it is.
"""

from collections.abc import Iterable
from typing import Self

import torch
from torch import Tensor

from nava.config.latents import VideoCodecConfig
from nava.latents.blocks import BlockTransformCodec, channel_scale, video_blocks
from nava.runtime.errors import InputError


class BlockPcaCodec(BlockTransformCodec):
    """The default embedded video codec: as many channels as the Wan2.2 VAE, reads events of its own corpus exactly."""

    type_name = "block_pca"

    @classmethod
    def fit(cls, videos_BTHWC: Iterable[Tensor], clip_count: int, config: VideoCodecConfig, seed: int) -> Self:
        """Fit on ``config.fit_blocks`` blocks drawn evenly from ``clip_count`` clips.

        Args:
            videos_BTHWC: uint8 batches, ``clip_count`` clips in all, read once.
            clip_count: number of clips in ``videos_BTHWC``.
            config: geometry and fit settings.
            seed: of the block sample and of the start subspace.

        Raises:
            InputError: too few blocks for the wanted number of channels.
        """
        generator = torch.Generator().manual_seed(seed)
        blocks_ND = _sample_blocks(videos_BTHWC, max(1, -(-config.fit_blocks // max(1, clip_count))), config, generator)
        if blocks_ND.shape[0] < 2 * config.channels:
            raise InputError(
                f"{blocks_ND.shape[0]} blocks are too few to fit {config.channels} channels; "
                "give the codec more clips, fewer channels, or use type block_dct, which needs no fit"
            )
        mean_D = blocks_ND.mean(dim=0)
        blocks_ND -= mean_D
        basis_CD, deviation_C = principal_components(
            blocks_ND, config.channels, config.subspace_iterations, config.subspace_oversampling, generator
        )
        scale_C = channel_scale(deviation_C, config.whitening)
        return cls(basis_CD, mean_D, scale_C, config.temporal_stride, config.spatial_stride)


def principal_components(
    centred_ND: Tensor, count: int, iterations: int, oversampling: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Leading eigenvectors [C, D] of the covariance of centred rows, and the standard deviation along each [C].

    Subspace iteration with ``count + oversampling`` vectors: it never forms the D x D covariance. Signs are fixed by
    making the largest entry of each vector positive, so that they do not depend on the linear algebra library.
    """
    rows, size = centred_ND.shape
    width = min(count + oversampling, size)
    subspace_DK = torch.linalg.qr(torch.randn(size, width, generator=generator))[0]
    for _ in range(iterations):
        subspace_DK = torch.linalg.qr(centred_ND.T @ (centred_ND @ subspace_DK))[0]
    projected_NK = centred_ND @ subspace_DK
    variance_K, rotation_KK = torch.linalg.eigh((projected_NK.T @ projected_NK).double() / rows)
    basis_CD = (subspace_DK.double() @ rotation_KK.flip(1)[:, :count]).T.float()
    largest = basis_CD.gather(1, basis_CD.abs().argmax(dim=1, keepdim=True))
    deviation_C = variance_K.flip(0)[:count].clamp_min(0).sqrt().float()
    return basis_CD * largest.sign(), deviation_C


def _sample_blocks(
    videos_BTHWC: Iterable[Tensor], per_clip: int, config: VideoCodecConfig, generator: torch.Generator
) -> Tensor:
    """Draw ``per_clip`` blocks without replacement from every clip: [N, D]."""
    drawn = []
    for batch_BTHWC in videos_BTHWC:
        for video_THWC in batch_BTHWC:
            blocks_ND = video_blocks(video_THWC[None], config.temporal_stride, config.spatial_stride).flatten(0, 3)
            order = torch.randperm(blocks_ND.shape[0], generator=generator)[:per_clip]
            drawn.append(blocks_ND[order])
    if not drawn:
        raise InputError("no clip with a picture to fit the video codec on")
    return torch.cat(drawn)
