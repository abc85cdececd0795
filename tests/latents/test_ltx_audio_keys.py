"""Names and shapes of the original audio file against those of diffusers, at published and at small width."""

import json
from typing import Any

import pytest
import torch

from nava.latents.ltx_audio_config import architecture_of
from nava.latents.ltx_audio_keys import diffusers_name, is_read
from tests.latents.original_layouts import (
    LTX_AUTOENCODER,
    LTX_EXTENSION,
    LTX_VOCODER,
    SMALL_LTX_AUTOENCODER,
    SMALL_LTX_EXTENSION,
    SMALL_LTX_OLD_VOCODER,
    SMALL_LTX_VOCODER,
    Shapes,
    ltx_autoencoder_layout,
    ltx_config,
    ltx_generator_layout,
    ltx_layout,
)

# Rows of a public dump of the published file's tensors; typed in here, not derived.
PUBLISHED: Shapes = {
    "audio_vae.decoder.conv_in.conv.weight": (512, 8, 3, 3),
    "audio_vae.decoder.conv_out.conv.weight": (2, 128, 3, 3),
    "audio_vae.decoder.mid.block_2.conv2.conv.bias": (512,),
    "audio_vae.decoder.up.0.block.0.nin_shortcut.conv.weight": (128, 256, 1, 1),
    "audio_vae.decoder.up.0.block.2.conv2.conv.weight": (128, 128, 3, 3),
    "audio_vae.decoder.up.1.block.0.conv1.conv.weight": (256, 512, 3, 3),
    "audio_vae.decoder.up.1.upsample.conv.conv.weight": (256, 256, 3, 3),
    "audio_vae.decoder.up.2.upsample.conv.conv.bias": (512,),
    "audio_vae.encoder.conv_in.conv.weight": (128, 2, 3, 3),
    "audio_vae.encoder.conv_out.conv.weight": (16, 512, 3, 3),
    "audio_vae.encoder.down.0.downsample.conv.weight": (128, 128, 3, 3),
    "audio_vae.encoder.down.1.block.0.nin_shortcut.conv.weight": (256, 128, 1, 1),
    "audio_vae.encoder.down.2.block.1.conv1.conv.weight": (512, 512, 3, 3),
    "audio_vae.per_channel_statistics.mean-of-means": (128,),
    "audio_vae.per_channel_statistics.std-of-means": (128,),
    "vocoder.vocoder.conv_pre.weight": (1536, 128, 7),
    "vocoder.vocoder.ups.0.weight": (1536, 768, 11),
    "vocoder.vocoder.conv_post.weight": (2, 24, 7),
    "vocoder.bwe_generator.conv_post.weight": (2, 16, 7),
    "vocoder.mel_stft.mel_basis": (64, 257),
    "vocoder.mel_stft.stft_fn.forward_basis": (514, 1, 512),
}
WIDTHS = {
    "published": (LTX_AUTOENCODER, {"vocoder": LTX_VOCODER, "bwe": LTX_EXTENSION}),
    "small": (SMALL_LTX_AUTOENCODER, {"vocoder": SMALL_LTX_VOCODER, "bwe": SMALL_LTX_EXTENSION}),
    "without extension": (SMALL_LTX_AUTOENCODER, SMALL_LTX_OLD_VOCODER),
}


def diffusers_shapes(network: dict[str, Any], vocoder: dict[str, Any]) -> Shapes:
    from diffusers import AutoencoderKLLTX2Audio
    from diffusers.pipelines.ltx2.vocoder import LTX2Vocoder, LTX2VocoderWithBWE

    architecture = architecture_of({"config": json.dumps(ltx_config(network, vocoder))}, "x.safetensors")
    vocoder_class = LTX2VocoderWithBWE if architecture.extends_bandwidth else LTX2Vocoder
    with torch.device("meta"):
        models = {
            "audio_vae": AutoencoderKLLTX2Audio(**architecture.autoencoder),
            "vocoder": vocoder_class(**architecture.vocoder),
        }
    return {
        f"{prefix}.{name}": tuple(tensor.shape)
        for prefix, model in models.items()
        for name, tensor in model.state_dict().items()
    }


def test_the_layout_agrees_with_what_is_known_of_the_published_file() -> None:
    layout = ltx_layout(*WIDTHS["published"])
    assert {name: layout[name] for name in PUBLISHED} == PUBLISHED
    # Counts that public readers of the file assert.
    assert len(ltx_autoencoder_layout(LTX_AUTOENCODER)) == 102
    assert len(ltx_generator_layout(LTX_VOCODER, "v", 128)) == 667
    assert len(ltx_generator_layout(LTX_EXTENSION, "v", 128)) == 557
    assert len(layout) == 102 + 667 + 557 + 3
    # Two bytes each: the 348 MiB of the published file.
    assert round(2 * sum(torch.Size(shape).numel() for shape in layout.values()) / 2**20) == 348


@pytest.mark.parametrize("width", WIDTHS)
def test_each_original_tensor_has_one_place_of_its_shape(width: str) -> None:
    original = ltx_layout(*WIDTHS[width])
    assert all(is_read(name) for name in original)
    mapped = {diffusers_name(name): shape for name, shape in original.items()}
    assert len(mapped) == len(original)
    assert mapped == diffusers_shapes(*WIDTHS[width])


@pytest.mark.parametrize(
    ("original", "renamed"),
    [
        ("vocoder.conv_pre.weight", "vocoder.conv_in.weight"),
        ("vocoder.vocoder.conv_pre.weight", "vocoder.vocoder.conv_in.weight"),
        ("vocoder.bwe_generator.ups.3.bias", "vocoder.bwe_generator.upsamplers.3.bias"),
        (
            "vocoder.vocoder.resblocks.17.acts2.0.downsample.lowpass.filter",
            "vocoder.vocoder.resnets.17.acts2.0.downsample.filter",
        ),
        ("vocoder.vocoder.act_post.upsample.filter", "vocoder.vocoder.act_out.upsample.filter"),
        ("audio_vae.per_channel_statistics.std-of-means", "audio_vae.latents_std"),
        ("audio_vae.decoder.up.1.upsample.conv.conv.bias", "audio_vae.decoder.up.1.upsample.conv.conv.bias"),
    ],
)
def test_names(original: str, renamed: str) -> None:
    assert diffusers_name(original) == renamed


@pytest.mark.parametrize(
    "name", ["vocoder.other.weight", "audio_vae.quantizer.weight", "audio_vae.per_channel_statistics.max", "vae.x"]
)
def test_unknown_names_have_no_place(name: str) -> None:
    assert diffusers_name(name) is None


def test_other_models_of_a_whole_checkpoint_are_passed_over() -> None:
    assert not is_read("model.diffusion_model.patchify_proj.weight")
    assert not is_read("vae.decoder.conv_in.conv.weight")
    assert not is_read("audio_vae.per_channel_statistics.mean-of-stds")
    assert is_read("audio_vae.unknown")
