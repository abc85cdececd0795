"""Tensor names and shapes of the original weight files, written down from the module trees that made them.

Independent of the key maps under test: the tables list modules in the order of the published classes (Wan-Video/Wan2.2
`vae2_2.py`; Lightricks/LTX-2 `audio_vae`, `vocoder`), with widths as parameters.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
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


# LTX-2.3: what the metadata of the published file says, as public readers of it repeat.
LTX_AUTOENCODER = {
    "double_z": True,
    "mel_bins": 64,
    "z_channels": 8,
    "resolution": 256,
    "in_channels": 2,
    "out_ch": 2,
    "ch": 128,
    "ch_mult": [1, 2, 4],
    "num_res_blocks": 2,
    "attn_resolutions": [],
    "dropout": 0.0,
    "mid_block_add_attention": False,
    "norm_type": "pixel",
    "causality_axis": "height",
}
LTX_PREPROCESSING = {
    "stft": {"filter_length": 1024, "hop_length": 160, "win_length": 1024, "causal": True},
    "mel": {"n_mel_channels": 64, "mel_fmin": 0, "mel_fmax": 8000},
}
LTX_GENERATOR = {
    "resblock": "AMP1",
    "resblock_kernel_sizes": [3, 7, 11],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "stereo": True,
    "use_tanh_at_final": False,
    "activation": "snakebeta",
    "use_bias_at_final": False,
}
LTX_VOCODER = LTX_GENERATOR | {
    "upsample_initial_channel": 1536,
    "upsample_rates": [5, 2, 2, 2, 2, 2],
    "upsample_kernel_sizes": [11, 4, 4, 4, 4, 4],
}
LTX_EXTENSION = LTX_GENERATOR | {
    "upsample_initial_channel": 512,
    "upsample_rates": [6, 5, 2, 2, 2],
    "upsample_kernel_sizes": [12, 11, 4, 4, 4],
    "apply_final_activation": False,
    "input_sampling_rate": 16_000,
    "output_sampling_rate": 48_000,
    "hop_length": 80,
    "n_fft": 512,
    "win_size": 512,
    "num_mels": 64,
}
# The same at small width: two latent channels of four bins, eight feature channels.
SMALL_LTX_AUTOENCODER = LTX_AUTOENCODER | {"mel_bins": 16, "z_channels": 2, "ch": 8, "num_res_blocks": 1}
SMALL_LTX_VOCODER = LTX_VOCODER | {
    "upsample_initial_channel": 16,
    "upsample_rates": [5, 8, 4],
    "upsample_kernel_sizes": [11, 16, 8],
    "resblock_kernel_sizes": [3, 7],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]],
}
SMALL_LTX_EXTENSION = LTX_EXTENSION | {
    "upsample_initial_channel": 8,
    "upsample_rates": [6, 5, 8],
    "upsample_kernel_sizes": [12, 11, 16],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
    "n_fft": 256,
    "num_mels": 12,
}
# LTX-2.0 has a vocoder without bandwidth extension, described at the top.
SMALL_LTX_OLD_VOCODER = {
    "resblock": "1",
    "stereo": True,
    "upsample_initial_channel": 16,
    "upsample_rates": [6, 5, 8],
    "upsample_kernel_sizes": [16, 15, 16],
    "resblock_kernel_sizes": [3],
    "resblock_dilation_sizes": [[1, 3, 5]],
    "output_sampling_rate": 24_000,
}


def ltx_config(network: dict[str, Any], vocoder: dict[str, Any]) -> dict[str, Any]:
    """The JSON that the header's ``config`` holds."""
    audio_vae = {
        "model": {"params": {"ddconfig": network, "sampling_rate": 16_000}},
        "preprocessing": LTX_PREPROCESSING,
    }
    return {"audio_vae": audio_vae, "vocoder": vocoder, "scheduler": {"_class_name": "RectifiedFlowScheduler"}}


def ltx_autoencoder_layout(network: dict[str, Any]) -> Shapes:
    """``audio_vae.``: 102 tensors in the published file."""
    shapes: Shapes = {}
    base, blocks = network["ch"], network["num_res_blocks"]
    one, two, four = (base * multiple for multiple in network["ch_mult"])
    latents = network["z_channels"]
    encoder = "audio_vae.encoder"
    _conv(shapes, f"{encoder}.conv_in.conv", network["in_channels"], one, (3, 3))
    for level, before, after in ((0, one, one), (1, one, two), (2, two, four)):
        for block in range(blocks):
            _ltx_block(shapes, f"{encoder}.down.{level}.block.{block}", before if block == 0 else after, after)
        if level < 2:
            _conv(shapes, f"{encoder}.down.{level}.downsample.conv", after, after, (3, 3))
    _ltx_block(shapes, f"{encoder}.mid.block_1", four, four)
    _ltx_block(shapes, f"{encoder}.mid.block_2", four, four)
    _conv(shapes, f"{encoder}.conv_out.conv", four, 2 * latents, (3, 3))
    decoder = "audio_vae.decoder"
    _conv(shapes, f"{decoder}.conv_in.conv", latents, four, (3, 3))
    _ltx_block(shapes, f"{decoder}.mid.block_1", four, four)
    _ltx_block(shapes, f"{decoder}.mid.block_2", four, four)
    for level, before, after in ((2, four, four), (1, four, two), (0, two, one)):
        for block in range(blocks + 1):
            _ltx_block(shapes, f"{decoder}.up.{level}.block.{block}", before if block == 0 else after, after)
        if level > 0:
            _conv(shapes, f"{decoder}.up.{level}.upsample.conv.conv", after, after, (3, 3))
    _conv(shapes, f"{decoder}.conv_out.conv", one, network["out_ch"], (3, 3))
    for name in ("mean-of-means", "std-of-means"):
        shapes[f"audio_vae.per_channel_statistics.{name}"] = (base,)
    return shapes


def ltx_generator_layout(config: dict[str, Any], prefix: str, in_channels: int) -> Shapes:
    """A vocoder: 667 tensors for the first and 557 for the second in the published file."""
    shapes: Shapes = {}
    width = config["upsample_initial_channel"]
    smooth = config["resblock"] == "AMP1"
    _conv(shapes, f"{prefix}.conv_pre", in_channels, width, (7,))
    block = 0
    for stage, kernel in enumerate(config["upsample_kernel_sizes"]):
        # Transposed convolutions have the input width first.
        shapes[f"{prefix}.ups.{stage}.weight"] = (width, width // 2, kernel)
        shapes[f"{prefix}.ups.{stage}.bias"] = (width // 2,)
        width //= 2
        for size in config["resblock_kernel_sizes"]:
            for place in range(3):
                for which in (1, 2):
                    name = f"{prefix}.resblocks.{block}"
                    _conv(shapes, f"{name}.convs{which}.{place}", width, width, (size,))
                    if smooth:
                        _smooth(shapes, f"{name}.acts{which}.{place}", width)
            block += 1
    if smooth:
        _smooth(shapes, f"{prefix}.act_post", width)
    _conv(shapes, f"{prefix}.conv_post", width, 2, (7,), bias=config.get("use_bias_at_final", True))
    return shapes


def ltx_layout(network: dict[str, Any], vocoder: dict[str, Any]) -> Shapes:
    """The whole file; ``vocoder`` is as in the metadata."""
    shapes = ltx_autoencoder_layout(network)
    inputs = 2 * network["mel_bins"]
    if "bwe" not in vocoder:
        return shapes | ltx_generator_layout(vocoder, "vocoder", inputs)
    extension = vocoder["bwe"]
    frequencies = extension["n_fft"] // 2 + 1
    return {
        **shapes,
        **ltx_generator_layout(vocoder["vocoder"], "vocoder.vocoder", inputs),
        **ltx_generator_layout(extension, "vocoder.bwe_generator", 2 * extension["num_mels"]),
        "vocoder.mel_stft.mel_basis": (extension["num_mels"], frequencies),
        "vocoder.mel_stft.stft_fn.forward_basis": (2 * frequencies, 1, extension["n_fft"]),
        "vocoder.mel_stft.stft_fn.inverse_basis": (2 * frequencies, 1, extension["n_fft"]),
    }


def write_ltx_file(path: Path, network: dict[str, Any], vocoder: dict[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """Random weights with the metadata that describes them."""
    tensors = random_tensors(ltx_layout(network, vocoder), seed)
    save_file(tensors, path, metadata={"config": json.dumps(ltx_config(network, vocoder)), "format": "pt"})
    return tensors


def write_small_weights(folder: Path) -> Path:
    """Both files by their published names, with random weights of small width."""
    folder.mkdir(parents=True)
    torch.save(random_tensors(wan_vae_layout(4, 4), seed=1), folder / "Wan2.2_VAE.pth")
    vocoder = {"vocoder": SMALL_LTX_VOCODER, "bwe": SMALL_LTX_EXTENSION}
    write_ltx_file(folder / "ltx-2.3-22b-dev_audio_vae.safetensors", SMALL_LTX_AUTOENCODER, vocoder, seed=3)
    return folder


def random_tensors(shapes: Shapes, seed: int = 0, gain: float = 1.0) -> dict[str, Tensor]:
    """Weights that keep a signal's size, biases near zero, norms and snakes near one."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        if name.endswith("weight"):
            values *= gain / max(1, values[0].numel()) ** 0.5
        elif name.endswith(("gamma", "std-of-means")):
            values = 1 + 0.05 * values
        elif name.endswith(("lowpass.filter", "upsample.filter")):
            values = torch.hann_window(shape[-1], periodic=False).expand(shape) / (shape[-1] - 1) * 2
        elif "basis" in name:
            values = values.abs() / shape[-1]
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


def _ltx_block(shapes: Shapes, name: str, before: int, after: int) -> None:
    """Pixel norms have no parameters."""
    _conv(shapes, f"{name}.conv1.conv", before, after, (3, 3))
    _conv(shapes, f"{name}.conv2.conv", after, after, (3, 3))
    if before != after:
        _conv(shapes, f"{name}.nin_shortcut.conv", before, after, (1, 1))


def _smooth(shapes: Shapes, name: str, width: int) -> None:
    """A snake between two resampling filters."""
    shapes[f"{name}.act.alpha"] = (width,)
    shapes[f"{name}.act.beta"] = (width,)
    shapes[f"{name}.upsample.filter"] = (1, 1, 12)
    shapes[f"{name}.downsample.lowpass.filter"] = (1, 1, 12)


def _middle(shapes: Shapes, name: str, width: int) -> None:
    _residual(shapes, f"{name}.0", width, width)
    shapes[f"{name}.1.norm.gamma"] = (width, 1, 1)
    _conv(shapes, f"{name}.1.to_qkv", width, 3 * width, (1, 1))
    _conv(shapes, f"{name}.1.proj", width, width, (1, 1))
    _residual(shapes, f"{name}.2", width, width)
