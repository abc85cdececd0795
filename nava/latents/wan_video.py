"""The video autoencoder of Wan 2.2, by ``diffusers.AutoencoderKLWan`` with the tensors of ``Wan2.2_VAE.pth``.

Latents are the normalised means of the posterior: 48 channels, one frame alone, then four at a time, 16 x 16 pixels.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from nava.artifacts.torch_checkpoint import read_state_dict
from nava.artifacts.weight_files import WEIGHT_FILES
from nava.artifacts.weight_reference import WeightReference
from nava.config.latents import VideoCodecConfig, WanVideoConfig
from nava.latents.blocks import require_video
from nava.latents.length import latents_of_frames
from nava.latents.published_weights import (
    DTYPES,
    fill,
    find_weights,
    identity_of,
    load_referenced,
    require_same_tensors,
    shapes_of,
    write_reference,
)
from nava.latents.wan_video_keys import (
    LATENT_CHANNELS,
    SPATIAL_STRIDE,
    TEMPORAL_STRIDE,
    architecture_of,
    diffusers_name,
)
from nava.runtime.errors import InputError

WEIGHT = WEIGHT_FILES["wan_video_vae"]
HALF_RANGE = 127.5
# Decoded frames that are turned into bytes at a time.
PIXEL_FRAMES = 16

# Mean and standard deviation of each latent channel, as the constructor of `Wan2_2_VAE` states them
# (Wan-Video/Wan2.2, wan/modules/vae2_2.py); the weight file does not hold them.
LATENT_MEAN = (
    -0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891,
    0.1570, -0.0098, 0.0375, -0.1825, -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502,
    -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230, -0.0313, -0.1649, 0.0117, 0.0723,
    -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667,
)  # fmt: skip
LATENT_DEVIATION = (
    0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901,
    0.6885, 0.6165, 0.8454, 0.4978, 0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659,
    0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093, 0.5709, 0.6065, 0.6415, 0.4944,
    0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744,
)  # fmt: skip


class WanVideoCodec:
    """Clips are coded one by one, so that a clip's latents do not depend on its batch. Results lie where inputs lay."""

    type_name: ClassVar[str] = "wan_video"
    channels = LATENT_CHANNELS
    temporal_stride = TEMPORAL_STRIDE
    spatial_stride = SPATIAL_STRIDE

    def __init__(self, autoencoder: Any, settings: WanVideoConfig, reference: WeightReference) -> None:
        """``autoencoder`` is an ``AutoencoderKLWan``, ``reference`` names the file that its weights came from."""
        settings.check("latents.video.wan")
        self.settings = settings
        self.reference = reference
        self._autoencoder = autoencoder
        self._dtype = DTYPES[settings.dtype]
        if settings.tiling:
            autoencoder.enable_tiling(
                settings.tile_height_px,
                settings.tile_width_px,
                settings.tile_stride_height_px,
                settings.tile_stride_width_px,
            )

    @classmethod
    def build(cls, config: VideoCodecConfig) -> Self:
        """Make the codec from the weights at ``config.weights``.

        Raises:
            InputError: the file is missing, damaged, or not the autoencoder of Wan 2.2.
        """
        path = find_weights(WEIGHT, config.weights, config.weights_cache)
        autoencoder = load_autoencoder(path, DTYPES[config.wan.dtype])
        return cls(autoencoder, config.wan, WeightReference.of(WEIGHT, path))

    @property
    def identity(self) -> str:
        """sha256 of weights and precision; tiling is no part of it, because it does not change latents."""
        return identity_of(self.type_name, {"dtype": self.settings.dtype}, self.reference)

    def to(self, device: str | torch.device) -> Self:
        """Move the weights."""
        self._autoencoder.to(device)
        return self

    def latent_shape(self, frames: int, height: int, width: int) -> tuple[int, int, int, int]:
        """Shape (C, T, H, W) of the latents of a clip.

        Raises:
            InputError: frames are not 4n + 1, or height or width are not multiples of 16.
        """
        stride = self.spatial_stride
        if height < stride or width < stride or height % stride or width % stride:
            raise InputError(f"height and width must be multiples of {stride} pixels, got {height}x{width}")
        return self.channels, latents_of_frames(frames), height // stride, width // stride

    @torch.no_grad()
    def encode(self, video_BTHWC: Tensor) -> Tensor:
        """uint8 RGB [B, T, H, W, 3] to float32 latents [B, C, T, H, W]."""
        require_video(video_BTHWC)
        self.latent_shape(*video_BTHWC.shape[1:4])
        # As in the release, only decoding is tiled: encoding takes four frames at a time and needs little memory.
        self._autoencoder.use_tiling = False
        return torch.stack([self._encode_clip(video_THWC) for video_THWC in video_BTHWC])

    @torch.no_grad()
    def decode(self, latent_BCTHW: Tensor) -> Tensor:
        """Latents [B, C, T, H, W] to uint8 RGB [B, 4 (T - 1) + 1, 16 H, 16 W, 3]."""
        if latent_BCTHW.ndim != 5 or latent_BCTHW.shape[1] != self.channels:
            raise InputError(f"latents must have shape [B, {self.channels}, T, H, W], got {list(latent_BCTHW.shape)}")
        self._autoencoder.use_tiling = self.settings.tiling
        return torch.stack([self._decode_clip(latent_CTHW) for latent_CTHW in latent_BCTHW])

    def save(self, directory: Path) -> None:
        """Write ``config.json`` with a reference to the weight file, not the weights."""
        write_reference(directory, self.type_name, asdict(self.settings), self.reference, self.identity)

    @classmethod
    def load(cls, directory: Path, weights: str | Path | None = None, cache: str | Path | None = None) -> Self:
        """Read what ``save`` wrote, find the weights and compare them with the reference; see ``load_referenced``."""
        return load_referenced(directory, cls.type_name, WEIGHT, (weights, cache), cls._of_file)

    @classmethod
    def _of_file(cls, path: Path, settings: dict[str, Any], reference: WeightReference) -> Self:
        wan = WanVideoConfig(**settings)
        return cls(load_autoencoder(path, DTYPES[wan.dtype]), wan, reference)

    def _encode_clip(self, video_THWC: Tensor) -> Tensor:
        device = self._device
        pixels_1CTHW = video_THWC.to(device).permute(3, 0, 1, 2)[None].float().div_(HALF_RANGE).sub_(1)
        with torch.autocast(device.type, enabled=False):
            mean_1CTHW = self._autoencoder.encode(pixels_1CTHW.to(self._dtype)).latent_dist.mode().float()
        mean_C111, deviation_C111 = _statistics(device)
        return ((mean_1CTHW[0] - mean_C111) / deviation_C111).to(video_THWC.device)

    def _decode_clip(self, latent_CTHW: Tensor) -> Tensor:
        device = self._device
        mean_C111, deviation_C111 = _statistics(device)
        latent_1CTHW = (latent_CTHW.to(device).float() * deviation_C111 + mean_C111)[None]
        with torch.autocast(device.type, enabled=False):
            # diffusers clamps to [-1, 1].
            frames_CTHW = self._autoencoder.decode(latent_1CTHW.to(self._dtype)).sample[0]
        pixels = [
            part_CTHW.float().add_(1).mul_(HALF_RANGE).round_().to(torch.uint8)
            for part_CTHW in frames_CTHW.split(PIXEL_FRAMES, dim=1)
        ]
        return torch.cat(pixels, dim=1).permute(1, 2, 3, 0).contiguous().to(latent_CTHW.device)

    @property
    def _device(self) -> torch.device:
        return next(self._autoencoder.parameters()).device


def load_autoencoder(path: Path, dtype: torch.dtype) -> Any:
    """``AutoencoderKLWan`` with the tensors of an original file, mapped from disk where no cast is needed.

    Raises:
        InputError: the file is damaged, or its tensors are not those of Wan 2.2.
    """
    from diffusers import AutoencoderKLWan

    tensors = read_state_dict(path)
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    architecture = architecture_of(shapes, str(path))

    def build() -> Any:
        return AutoencoderKLWan(**architecture.diffusers_settings())

    with torch.device("meta"):
        wanted = shapes_of(build())
    names = {name: diffusers_name(name) or name for name in tensors}
    published = {renamed: name for name, renamed in names.items()}
    if len(published) != len(names):
        raise InputError(f"{path} holds two tensors for one place; take the file as it was published")
    require_same_tensors(path, {names[name]: shape for name, shape in shapes.items()}, wanted, published)
    return fill(build, ((names[name], tensor) for name, tensor in tensors.items()), dtype, torch.device("cpu"))


def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    mean_C = torch.tensor(LATENT_MEAN, device=device)
    deviation_C = torch.tensor(LATENT_DEVIATION, device=device)
    return mean_C[:, None, None, None], deviation_C[:, None, None, None]
