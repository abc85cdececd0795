"""Names and shapes of the original video autoencoder against those of diffusers, at published and at small width."""

import pytest
import torch

from nava.latents.wan_video_keys import architecture_of, diffusers_name
from nava.runtime.errors import InputError
from tests.latents.original_layouts import Shapes, wan_vae_layout

# Shapes of the published file that public programs check when they load it; typed in here, not derived.
PUBLISHED: Shapes = {
    "conv1.weight": (96, 96, 1, 1, 1),
    "conv2.weight": (48, 48, 1, 1, 1),
    "encoder.conv1.weight": (160, 12, 3, 3, 3),
    "encoder.downsamples.1.downsamples.0.residual.2.weight": (320, 160, 3, 3, 3),
    "encoder.downsamples.1.downsamples.0.shortcut.weight": (320, 160, 1, 1, 1),
    "encoder.downsamples.1.downsamples.2.time_conv.weight": (320, 320, 3, 1, 1),
    "encoder.downsamples.2.downsamples.2.time_conv.weight": (640, 640, 3, 1, 1),
    "encoder.downsamples.3.downsamples.1.residual.6.weight": (640, 640, 3, 3, 3),
    "encoder.head.2.weight": (96, 640, 3, 3, 3),
    "decoder.conv1.weight": (1024, 48, 3, 3, 3),
    "decoder.middle.1.norm.gamma": (1024, 1, 1),
    "decoder.middle.1.to_qkv.weight": (3072, 1024, 1, 1),
    "decoder.upsamples.0.upsamples.0.residual.2.weight": (1024, 1024, 3, 3, 3),
    "decoder.upsamples.0.upsamples.3.time_conv.weight": (2048, 1024, 3, 1, 1),
    "decoder.upsamples.1.upsamples.3.time_conv.weight": (2048, 1024, 3, 1, 1),
    "decoder.upsamples.2.upsamples.3.resample.1.weight": (512, 512, 3, 3),
    "decoder.upsamples.3.upsamples.0.shortcut.weight": (256, 512, 1, 1, 1),
    "decoder.head.0.gamma": (256, 1, 1, 1),
    "decoder.head.2.weight": (12, 256, 3, 3, 3),
}


def diffusers_shapes(original: Shapes) -> Shapes:
    from diffusers import AutoencoderKLWan

    with torch.device("meta"):
        model = AutoencoderKLWan(**architecture_of(original, "x.pth").diffusers_settings())
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def test_the_layout_agrees_with_what_is_known_of_the_published_file() -> None:
    layout = wan_vae_layout()
    assert {name: layout[name] for name in PUBLISHED} == PUBLISHED
    assert "encoder.downsamples.0.downsamples.2.time_conv.weight" not in layout
    assert "decoder.upsamples.2.upsamples.3.time_conv.weight" not in layout
    # Four bytes each: the 2.8 GB of the published file.
    assert sum(torch.Size(shape).numel() for shape in layout.values()) * 4 == 2_818_754_672


@pytest.mark.parametrize("widths", [(160, 256), (4, 8)])
def test_each_original_tensor_has_one_place_of_its_shape(widths: tuple[int, int]) -> None:
    original = wan_vae_layout(*widths)
    mapped = {diffusers_name(name): shape for name, shape in original.items()}
    assert len(mapped) == len(original) == 196
    assert mapped == diffusers_shapes(original)


def test_architecture_is_read_off_the_shapes() -> None:
    published = architecture_of(wan_vae_layout(), "x.pth")
    assert (published.base_dim, published.decoder_base_dim) == (160, 256)
    assert published.multiples == (1, 2, 4, 4)
    assert published.residual_blocks == 2
    assert published.halves_time == (False, True, True)
    small = architecture_of(wan_vae_layout(4, 8), "x.pth")
    assert (small.base_dim, small.decoder_base_dim, small.multiples) == (4, 8, (1, 2, 4, 4))


@pytest.mark.parametrize(
    "name",
    [
        "encoder.downsamples.0.residual.0.gamma",
        "decoder.upsamples.4.shortcut.weight",
        "encoder.middle.3.residual.0.gamma",
        "encoder.middle.1.residual.0.gamma",
        "encoder.middle.0.to_qkv.weight",
        "encoder.head.1.weight",
        "conv3.weight",
        "decoder.upsamples.0.upsamples.0.residual.1.weight",
        "blocks.0.self_attn.q.weight",
    ],
)
def test_names_of_other_models_have_no_place(name: str) -> None:
    assert diffusers_name(name) is None


def test_wan_2_1_is_recognised() -> None:
    shapes = {"encoder.conv1.weight": (96, 3, 3, 3, 3), "encoder.downsamples.0.residual.0.gamma": (96, 1, 1, 1)}
    with pytest.raises(InputError, match=r"VAE\.pth is the video autoencoder of Wan 2\.1; NAVA needs the one of"):
        architecture_of(shapes, "VAE.pth")


def test_another_model_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"is not the video autoencoder of Wan 2\.2: it has no 'encoder\.conv1\.weight'"
    ):
        architecture_of({"blocks.0.weight": (1,)}, "VAE.pth")


def test_other_latent_channels_are_refused() -> None:
    shapes = wan_vae_layout(4, 8) | {"conv2.weight": (16, 16, 1, 1, 1)}
    with pytest.raises(InputError, match="has 16 latent channels"):
        architecture_of(shapes, "VAE.pth")


def test_other_strides_are_refused() -> None:
    shapes = {name: shape for name, shape in wan_vae_layout(4, 8).items() if "time_conv" not in name}
    with pytest.raises(InputError, match=r"strides 16 \(space\) and 1 \(time\), expected 16 and 4"):
        architecture_of(shapes, "VAE.pth")
