"""What every codec offers, so that nothing above this folder knows which one a run uses.

Tensor names carry their axes: B batch, T frames or latent frames, H and W rows and columns, C channels, N samples,
L audio latents.
"""

from pathlib import Path
from typing import Protocol, Self

from torch import Tensor


class VideoCodec(Protocol):
    """Pixels to video latents and back."""

    channels: int
    temporal_stride: int
    spatial_stride: int

    @property
    def identity(self) -> str:
        """sha256 of the codec's settings and weights: equal identities encode equally."""
        ...

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Shape (C, T, H, W) of the latents of a clip.

        Raises:
            InputError: the codec cannot encode clips of this size.
        """
        ...

    def encode(self, video_BTHWC: Tensor) -> Tensor:
        """uint8 RGB [B, T, H, W, 3] to float32 latents [B, C, T, H, W]."""
        ...

    def decode(self, latent_BCTHW: Tensor) -> Tensor:
        """Latents [B, C, T, H, W] to uint8 RGB [B, T, H, W, 3]."""
        ...

    def save(self, directory: Path) -> None:
        """Write ``config.json`` and ``model.safetensors``."""
        ...

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote and verify its digest."""
        ...


class AudioCodec(Protocol):
    """Mono samples to audio latents and back."""

    channels: int
    sample_rate_hz: int

    @property
    def identity(self) -> str:
        """sha256 of the codec's settings and weights: equal identities encode equally."""
        ...

    def latent_shape(self, samples: int) -> tuple[int, int]:
        """Shape (L, C) of the latents of a clip of ``samples`` samples."""
        ...

    def encode(self, samples_BN: Tensor) -> Tensor:
        """float32 samples in [-1, 1], [B, N], to float32 latents [B, L, C]."""
        ...

    def decode(self, latent_BLC: Tensor) -> Tensor:
        """Latents [B, L, C] to float32 samples in [-1, 1], [B, N]."""
        ...

    def save(self, directory: Path) -> None:
        """Write ``config.json`` and ``model.safetensors``."""
        ...

    @classmethod
    def load(cls, directory: Path) -> Self:
        """Read what ``save`` wrote and verify its digest."""
        ...
