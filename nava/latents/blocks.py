"""Video codecs that are one linear map per space-time block: a basis, a mean and a scale per channel."""

from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from nava.latents.codec_files import CodecFiles, read_codec, write_codec
from nava.latents.length import latents_of_frames
from nava.runtime.errors import InputError

RGB = 3


class BlockTransformCodec:
    """Projects blocks of ``temporal_stride`` x ``spatial_stride`` x ``spatial_stride`` RGB pixels on orthonormal axes.

    Frame 0 is repeated to fill the first block, so that it is a latent frame of its own; decoding averages the copies.
    """

    type_name: ClassVar[str]

    def __init__(
        self, basis_CD: Tensor, mean_D: Tensor, scale_C: Tensor, temporal_stride: int, spatial_stride: int
    ) -> None:
        """``D`` is ``temporal_stride * spatial_stride ** 2 * 3`` in the order time, row, column, RGB."""
        block_size = temporal_stride * spatial_stride**2 * RGB
        if basis_CD.shape[1:] != (block_size,) or mean_D.shape != (block_size,) or scale_C.shape != basis_CD.shape[:1]:
            raise InputError(
                f"a {temporal_stride}x{spatial_stride}x{spatial_stride} block has {block_size} values, but basis, mean "
                f"and scale have shapes {tuple(basis_CD.shape)}, {tuple(mean_D.shape)}, {tuple(scale_C.shape)}"
            )
        self.channels = basis_CD.shape[0]
        self.temporal_stride = temporal_stride
        self.spatial_stride = spatial_stride
        # Contiguous, because a product with a transposed view rounds differently from one with a loaded tensor.
        self.basis_CD = basis_CD.float().contiguous()
        self.mean_D = mean_D.float()
        self.scale_C = scale_C.float()

    @cached_property
    def identity(self) -> str:
        """sha256 of settings and weights."""
        return self._files().identity

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Shape (C, T, H, W) of the latents of a clip.

        Raises:
            InputError: frames, height or width do not fit the blocks.
        """
        stride = self.spatial_stride
        if height < stride or width < stride or height % stride or width % stride:
            raise InputError(f"height and width must be multiples of {stride} pixels, got {height}x{width}")
        return self.channels, latents_of_frames(frames, self.temporal_stride), height // stride, width // stride

    def encode(self, video_BTHWC: Tensor) -> Tensor:
        """uint8 RGB [B, T, H, W, 3] to float32 latents [B, C, T, H, W]."""
        require_video(video_BTHWC)
        self.latent_shape(*video_BTHWC.shape[1:4])
        blocks_BTHWD = video_blocks(video_BTHWC, self.temporal_stride, self.spatial_stride)
        projection_DC = (self.basis_CD / self.scale_C[:, None]).T
        latent_BTHWC = blocks_BTHWD @ projection_DC - self.mean_D @ projection_DC
        return latent_BTHWC.permute(0, 4, 1, 2, 3).contiguous()

    def decode(self, latent_BCTHW: Tensor) -> Tensor:
        """Latents [B, C, T, H, W] to uint8 RGB [B, 4 (T - 1) + 1, 16 H, 16 W, 3]."""
        if latent_BCTHW.ndim != 5 or latent_BCTHW.shape[1] != self.channels:
            raise InputError(f"latents must have shape [B, {self.channels}, T, H, W], got {list(latent_BCTHW.shape)}")
        latent_BTHWC = latent_BCTHW.float().permute(0, 2, 3, 4, 1)
        blocks_BTHWD = (latent_BTHWC * self.scale_C) @ self.basis_CD + self.mean_D
        return video_of_blocks(blocks_BTHWD, self.temporal_stride, self.spatial_stride)

    def save(self, directory: Path) -> None:
        """Write ``config.json`` and ``model.safetensors``."""
        write_codec(directory, self._files())

    @classmethod
    def load(cls, directory: Path, weights: str | Path | None = None, cache: str | Path | None = None) -> Self:
        """Read what ``save`` wrote and verify its digest; its weights lie there too, wherever others may be."""
        files = read_codec(directory, cls.type_name)
        tensors, settings = files.tensors, files.settings
        return cls(
            tensors["basis_CD"],
            tensors["mean_D"],
            tensors["scale_C"],
            temporal_stride=int(settings["temporal_stride"]),
            spatial_stride=int(settings["spatial_stride"]),
        )

    def _files(self) -> CodecFiles:
        settings: dict[str, Any] = {
            "channels": self.channels,
            "temporal_stride": self.temporal_stride,
            "spatial_stride": self.spatial_stride,
        }
        tensors = {"basis_CD": self.basis_CD, "mean_D": self.mean_D, "scale_C": self.scale_C}
        return CodecFiles(self.type_name, settings, tensors)


def require_video(video_BTHWC: Tensor) -> None:
    """Refuse what is no batch of clips: InputError names its type and shape."""
    if video_BTHWC.dtype != torch.uint8 or video_BTHWC.ndim != 5 or video_BTHWC.shape[-1] != RGB:
        raise InputError(
            f"video must be uint8 of shape [B, T, H, W, 3], got {video_BTHWC.dtype} {list(video_BTHWC.shape)}"
        )


def video_blocks(video_BTHWC: Tensor, temporal_stride: int, spatial_stride: int) -> Tensor:
    """uint8 video [B, T, H, W, 3] to block vectors [B, T', H', W', D] in [-1, 1], frame 0 repeated to fill block 0."""
    first = video_BTHWC[:, :1].expand(-1, temporal_stride, -1, -1, -1)
    padded = torch.cat([first, video_BTHWC[:, 1:]], dim=1)
    batch, frames, height, width, _ = padded.shape
    grid = padded.reshape(
        batch,
        frames // temporal_stride,
        temporal_stride,
        height // spatial_stride,
        spatial_stride,
        width // spatial_stride,
        spatial_stride,
        RGB,
    )
    blocks = grid.permute(0, 1, 3, 5, 2, 4, 6, 7).flatten(4)
    return blocks.float().mul_(1 / 127.5).sub_(1.0)


def video_of_blocks(blocks_BTHWD: Tensor, temporal_stride: int, spatial_stride: int) -> Tensor:
    """Block vectors [B, T', H', W', D] in [-1, 1] to uint8 video [B, T, H, W, 3]; inverse of ``video_blocks``."""
    batch, latent_frames, rows, columns, _ = blocks_BTHWD.shape
    grid = blocks_BTHWD.unflatten(-1, (temporal_stride, spatial_stride, spatial_stride, RGB))
    frames = grid.permute(0, 1, 4, 2, 5, 3, 6, 7).reshape(
        batch, latent_frames, temporal_stride, rows * spatial_stride, columns * spatial_stride, RGB
    )
    first = frames[:, 0].mean(dim=1, keepdim=True)
    video = torch.cat([first, frames[:, 1:].flatten(1, 2)], dim=1)
    return video.add_(1.0).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)


def channel_scale(deviation_C: Tensor, whitening: float) -> Tensor:
    """Divisor per channel: ``sd ** whitening``, times one scalar that gives the latents unit mean square.

    Whitening 0 keeps the proportions of the channels, 1 gives each channel unit variance.
    """
    if not 0.0 <= whitening <= 1.0:
        raise InputError(f"whitening must lie in [0, 1], got {whitening}")
    # A channel that never varies in the fit must stay near zero instead of becoming a division by zero.
    deviation_C = deviation_C.clamp_min(1e-4 * float(deviation_C.max()) + 1e-12)
    partly_white_C = deviation_C**whitening
    return partly_white_C * (deviation_C / partly_white_C).square().mean().sqrt()
