"""Tensor names of the original ``Wan2.2_VAE.pth`` and those of ``diffusers.AutoencoderKLWan``; widths from the shapes.

In the original a stage is one sequence: residual blocks first, the resampling block last. diffusers gives the two kinds
names of their own. Layers inside a residual block are numbered by their place in a ``Sequential``.
"""

import re
from dataclasses import dataclass
from typing import Any

from nava.latents.published_weights import Shapes
from nava.runtime.errors import InputError

LATENT_CHANNELS = 48
SPATIAL_STRIDE = 16
TEMPORAL_STRIDE = 4
RGB = 3

_RESIDUAL = {
    "residual.0": "norm1",
    "residual.2": "conv1",
    "residual.3": "norm2",
    "residual.6": "conv2",
    "shortcut": "conv_shortcut",
}
_RESAMPLING = ("resample.1", "time_conv")
_ATTENTION = ("norm", "to_qkv", "proj")
# Modules outside the stages and the middle.
_SINGLE = {
    "conv1": "quant_conv",
    "conv2": "post_quant_conv",
    "encoder.conv1": "encoder.conv_in",
    "decoder.conv1": "decoder.conv_in",
    "encoder.head.0": "encoder.norm_out",
    "decoder.head.0": "decoder.norm_out",
    "encoder.head.2": "encoder.conv_out",
    "decoder.head.2": "decoder.conv_out",
}
# The middle is residual block, attention, residual block.
_MIDDLE = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}
_STAGE_NAME = re.compile(r"(?:encoder\.(down)|decoder\.(up))samples\.(\d+)\.(?:down|up)samples\.(\d+)\.(.+)")
_MIDDLE_NAME = re.compile(r"(encoder|decoder)\.middle\.([012])\.(.+)")


def diffusers_name(original: str) -> str | None:
    """The name in diffusers of a tensor of the original file; None if the file of Wan 2.2 has no such tensor."""
    module, _, parameter = original.rpartition(".")
    renamed = _SINGLE.get(module) or _middle(module) or _stage(module)
    return f"{renamed}.{parameter}" if renamed else None


def _middle(module: str) -> str | None:
    if not (found := _MIDDLE_NAME.fullmatch(module)):
        return None
    half, place, layer = found.groups()
    inner = (layer if layer in _ATTENTION else None) if place == "1" else _RESIDUAL.get(layer)
    return inner and f"{half}.mid_block.{_MIDDLE[place]}.{inner}"


def _stage(module: str) -> str | None:
    if not (found := _STAGE_NAME.fullmatch(module)):
        return None
    down, _, stage, place, layer = found.groups()
    block = f"encoder.down_blocks.{stage}" if down else f"decoder.up_blocks.{stage}"
    if layer in _RESAMPLING:
        return f"{block}.{'downsampler' if down else 'upsampler'}.{layer}"
    inner = _RESIDUAL.get(layer)
    return inner and f"{block}.resnets.{place}.{inner}"


@dataclass(frozen=True)
class WanArchitecture:
    """What the shapes of a file say about its autoencoder.

    Attributes:
        base_dim: channels of the encoder's first stage; 160 in the published file.
        decoder_base_dim: channels of the decoder's last stage; 256 in the published file.
        multiples: channels of each stage over those of the first.
        residual_blocks: per stage of the encoder; the decoder has one more.
        halves_time: for each stage but the last, whether it halves the frame rate.
    """

    base_dim: int
    decoder_base_dim: int
    multiples: tuple[int, ...]
    residual_blocks: int
    halves_time: tuple[bool, ...]

    def diffusers_settings(self) -> dict[str, Any]:
        """Arguments of ``AutoencoderKLWan``."""
        patch_channels = RGB * 2**2
        return {
            "base_dim": self.base_dim,
            "decoder_base_dim": self.decoder_base_dim,
            "z_dim": LATENT_CHANNELS,
            "dim_mult": list(self.multiples),
            "num_res_blocks": self.residual_blocks,
            "attn_scales": [],
            "temperal_downsample": list(self.halves_time),
            "is_residual": True,
            "in_channels": patch_channels,
            "out_channels": patch_channels,
            "patch_size": 2,
            "scale_factor_temporal": TEMPORAL_STRIDE,
            "scale_factor_spatial": SPATIAL_STRIDE,
        }


def architecture_of(shapes: Shapes, file: str) -> WanArchitecture:
    """Read the architecture off the shapes of the original tensors.

    Args:
        shapes: original name to shape.
        file: for messages.

    Raises:
        InputError: these are not the tensors of a Wan 2.2 video autoencoder.
    """
    if any(re.match(r"encoder\.downsamples\.\d+\.residual\.", name) for name in shapes):
        raise InputError(f"{file} is the video autoencoder of Wan 2.1; NAVA needs the one of Wan 2.2")
    try:
        base_dim, patch_channels = shapes["encoder.conv1.weight"][:2]
        decoder_base_dim = shapes["decoder.head.0.gamma"][0]
        latent_channels = shapes["conv2.weight"][0]
    except (KeyError, IndexError, ValueError) as error:
        raise InputError(f"{file} is not the video autoencoder of Wan 2.2: it has no {error}") from error
    blocks = _count(shapes, "encoder.downsamples.0.downsamples.{}.residual.6.weight")
    stages = _count(shapes, "encoder.downsamples.{}.downsamples.0.residual.6.weight")
    ends = [f"encoder.downsamples.{stage}.downsamples.{blocks - 1}.residual.6.weight" for stage in range(stages)]
    multiples = tuple(shapes.get(name, (0,))[0] // base_dim for name in ends)
    halves_time = tuple(
        f"encoder.downsamples.{stage}.downsamples.{blocks}.time_conv.weight" in shapes for stage in range(stages - 1)
    )
    strides = (2**stages, 2 ** sum(halves_time))
    if latent_channels != LATENT_CHANNELS or patch_channels != RGB * 2**2 or 0 in multiples:
        raise InputError(
            f"{file} has {latent_channels} latent channels and {patch_channels} channels of pixels; "
            f"the video autoencoder of Wan 2.2 has {LATENT_CHANNELS} and {RGB * 2**2}"
        )
    if strides != (SPATIAL_STRIDE, TEMPORAL_STRIDE):
        raise InputError(
            f"{file} has strides {strides[0]} (space) and {strides[1]} (time), expected {SPATIAL_STRIDE} and "
            f"{TEMPORAL_STRIDE}"
        )
    return WanArchitecture(base_dim, decoder_base_dim, multiples, blocks, halves_time)


def _count(shapes: Shapes, pattern: str) -> int:
    number = 0
    while pattern.format(number) in shapes:
        number += 1
    return number
