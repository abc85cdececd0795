"""Tensor names and shapes of the original weight files, written down from the module trees that made them.

Independent of the key maps under test: the tables list modules in the order of the published classes (Wan-Video/Wan2.2
`vae2_2.py`; Lightricks/LTX-2 `audio_vae`, `vocoder`), with widths as parameters.
"""

import torch
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

# Place, input width, output width of each encoder stage: widths in multiples of the base; then what ends the stage.
WAN_DOWN = (("0", 1, 1, "space"), ("1", 1, 2, "space and time"), ("2", 2, 4, "space and time"), ("3", 4, 4, "nothing"))
WAN_UP = (("0", 4, 4, "space and time"), ("1", 4, 4, "space and time"), ("2", 4, 2, "space"), ("3", 2, 1, "nothing"))
WAN_LATENTS = 48
WAN_PIXELS = 12


def wan_vae_layout(encoder: int = 160, decoder: int = 256) -> Shapes:
    """``Wan2.2_VAE.pth``: 196 tensors, 704,688,668 parameters at the published widths."""
    shapes: Shapes = {}
    _conv(shapes, "conv1", 2 * WAN_LATENTS, 2 * WAN_LATENTS, (1, 1, 1))
    _conv(shapes, "conv2", WAN_LATENTS, WAN_LATENTS, (1, 1, 1))
    _conv(shapes, "encoder.conv1", WAN_PIXELS, encoder, (3, 3, 3))
    for stage, before, after, end in WAN_DOWN:
        prefix = f"encoder.downsamples.{stage}.downsamples"
        _residual(shapes, f"{prefix}.0", before * encoder, after * encoder)
        _residual(shapes, f"{prefix}.1", after * encoder, after * encoder)
        if end != "nothing":
            _conv(shapes, f"{prefix}.2.resample.1", after * encoder, after * encoder, (3, 3))
        if end == "space and time":
            _conv(shapes, f"{prefix}.2.time_conv", after * encoder, after * encoder, (3, 1, 1))
    _middle(shapes, "encoder.middle", 4 * encoder)
    shapes["encoder.head.0.gamma"] = (4 * encoder, 1, 1, 1)
    _conv(shapes, "encoder.head.2", 4 * encoder, 2 * WAN_LATENTS, (3, 3, 3))
    _conv(shapes, "decoder.conv1", WAN_LATENTS, 4 * decoder, (3, 3, 3))
    _middle(shapes, "decoder.middle", 4 * decoder)
    for stage, before, after, end in WAN_UP:
        prefix = f"decoder.upsamples.{stage}.upsamples"
        _residual(shapes, f"{prefix}.0", before * decoder, after * decoder)
        _residual(shapes, f"{prefix}.1", after * decoder, after * decoder)
        _residual(shapes, f"{prefix}.2", after * decoder, after * decoder)
        if end != "nothing":
            _conv(shapes, f"{prefix}.3.resample.1", after * decoder, after * decoder, (3, 3))
        if end == "space and time":
            _conv(shapes, f"{prefix}.3.time_conv", after * decoder, 2 * after * decoder, (3, 1, 1))
    shapes["decoder.head.0.gamma"] = (decoder, 1, 1, 1)
    _conv(shapes, "decoder.head.2", decoder, WAN_PIXELS, (3, 3, 3))
    return shapes


def random_tensors(shapes: Shapes, seed: int = 0, gain: float = 1.0) -> dict[str, Tensor]:
    """Weights that keep a signal's size, biases near zero, norms and snakes near one."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        if name.endswith("weight"):
            values *= gain / max(1, values[0].numel()) ** 0.5
        elif name.endswith("gamma"):
            values = 1 + 0.05 * values
        else:
            values *= 0.05
        tensors[name] = values
    return tensors


def _conv(shapes: Shapes, name: str, before: int, after: int, kernel: tuple[int, ...], bias: bool = True) -> None:
    shapes[f"{name}.weight"] = (after, before, *kernel)
    if bias:
        shapes[f"{name}.bias"] = (after,)


def _residual(shapes: Shapes, name: str, before: int, after: int) -> None:
    shapes[f"{name}.residual.0.gamma"] = (before, 1, 1, 1)
    _conv(shapes, f"{name}.residual.2", before, after, (3, 3, 3))
    shapes[f"{name}.residual.3.gamma"] = (after, 1, 1, 1)
    _conv(shapes, f"{name}.residual.6", after, after, (3, 3, 3))
    if before != after:
        _conv(shapes, f"{name}.shortcut", before, after, (1, 1, 1))


def _middle(shapes: Shapes, name: str, width: int) -> None:
    _residual(shapes, f"{name}.0", width, width)
    shapes[f"{name}.1.norm.gamma"] = (width, 1, 1)
    _conv(shapes, f"{name}.1.to_qkv", width, 3 * width, (1, 1))
    _conv(shapes, f"{name}.1.proj", width, width, (1, 1))
    _residual(shapes, f"{name}.2", width, width)
