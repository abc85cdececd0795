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
        """Write ``config.json``, and ``model.safetensors`` if the weights are the codec's own."""
        ...

    @classmethod
    def load(cls, directory: Path, weights: str | Path | None = None, cache: str | Path | None = None) -> Self:
        """Read what ``save`` wrote and verify its digest.

        Args:
            directory: folder of ``config.json``.
            weights: where published weights are (file, folder, hub mirror); codecs with weights of their own ignore it.
            cache: where files of a bucket are kept on this machine.
        """
        ...


class AudioCodec(Protocol):
    """Sound to audio latents and back.

    Attributes:
        channels: channels of a latent.
        sample_rate_hz: of the sound that ``encode`` takes.
        sound_channels: of the sound that ``decode`` gives; 1 is mono, 2 is stereo.
    """

    channels: int
    sample_rate_hz: int
    sound_channels: int

    @property
    def output_sample_rate_hz(self) -> int:
        """Of the sound that ``decode`` gives."""
        ...

    @property
    def identity(self) -> str:
        """sha256 of the codec's settings and weights: equal identities encode equally."""
        ...

    def latent_shape(self, samples: int) -> tuple[int, int]:
        """Shape (L, C) of the latents of a clip of ``samples`` samples."""
        ...

    def encode(self, samples: Tensor) -> Tensor:
        """float32 samples in [-1, 1] to float32 latents [B, L, C].

        Args:
            samples: mono [B, N], played by every channel, or [B, sound_channels, N], at ``sample_rate_hz``.
        """
        ...

    def decode(self, latent_BLC: Tensor) -> Tensor:
        """Latents [B, L, C] to float32 samples in [-1, 1] at ``output_sample_rate_hz``.

        Returns:
            [B, N] if ``sound_channels`` is 1, else [B, sound_channels, N].
        """
        ...

    def save(self, directory: Path) -> None:
        """Write ``config.json``, and ``model.safetensors`` if the weights are the codec's own."""
        ...

    @classmethod
    def load(cls, directory: Path, weights: str | Path | None = None, cache: str | Path | None = None) -> Self:
        """Read what ``save`` wrote and verify its digest.

        Args:
            directory: folder of ``config.json``.
            weights: where published weights are (file, folder, hub mirror); codecs with weights of their own ignore it.
            cache: where files of a bucket are kept on this machine.
        """
        ...
