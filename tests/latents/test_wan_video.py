"""The codec of Wan 2.2 on random weights of small width in a file of the original layout."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nava.config.latents import VideoCodecConfig, WanVideoConfig
from nava.latents.wan_video import LATENT_DEVIATION, LATENT_MEAN, WanVideoCodec
from nava.runtime.errors import InputError
from tests.latents.original_layouts import random_tensors, wan_vae_layout

FLOAT32 = WanVideoConfig(dtype="float32")


@pytest.fixture(scope="module")
def tensors() -> dict[str, Tensor]:
    return random_tensors(wan_vae_layout(4, 4), seed=1)


@pytest.fixture(scope="module")
def weights(tensors: dict[str, Tensor], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "Wan2.2_VAE.pth"
    torch.save(tensors, path)
    return path


@pytest.fixture(scope="module")
def codec(weights: Path) -> WanVideoCodec:
    return build(weights)


@pytest.fixture(scope="module")
def video() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (2, 9, 32, 48, 3), dtype=torch.uint8, generator=generator)


def build(weights: Path, wan: WanVideoConfig = FLOAT32) -> WanVideoCodec:
    return WanVideoCodec.build(VideoCodecConfig(type="wan_video", weights=str(weights), wan=wan))


def test_a_clip_goes_there_and_back(codec: WanVideoCodec, video: Tensor) -> None:
    latent = codec.encode(video)
    assert latent.shape == (2, 48, 3, 2, 3) == (2, *codec.latent_shape(9, 32, 48))
    assert latent.dtype == torch.float32
    assert torch.isfinite(latent).all()
    decoded = codec.decode(latent)
    assert decoded.shape == video.shape
    assert decoded.dtype == torch.uint8
    assert decoded.float().std() > 1


def test_a_single_frame_is_a_clip(codec: WanVideoCodec, video: Tensor) -> None:
    """The first frame is coded alone: its latent is the same whether a clip follows or not."""
    latent = codec.encode(video[:, :1])
    assert latent.shape == (2, 48, 1, 2, 3)
    assert torch.allclose(latent, codec.encode(video)[:, :, :1], atol=1e-5)


def test_latents_do_not_depend_on_the_batch(codec: WanVideoCodec, video: Tensor) -> None:
    together = codec.encode(video)
    assert torch.equal(codec.encode(video[1:]), together[1:])
    assert torch.equal(codec.decode(together)[1:], codec.decode(together[1:]))


def test_latents_are_normalised_means(codec: WanVideoCodec, video: Tensor) -> None:
    pixels = video[:1].permute(0, 4, 1, 2, 3).float() / 255 * 2 - 1
    autoencoder: Any = codec._autoencoder
    with torch.no_grad():
        moments = autoencoder._encode(pixels)
    mean, deviation = (torch.tensor(values).view(1, 48, 1, 1, 1) for values in (LATENT_MEAN, LATENT_DEVIATION))
    assert torch.allclose(codec.encode(video[:1]), (moments[:, :48] - mean) / deviation, atol=1e-5)
    # Latents of zero are what the mean of the corpus decodes from.
    with torch.no_grad():
        frames = autoencoder.decode(mean).sample
    pixels = ((frames + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    assert torch.equal(codec.decode(torch.zeros(1, 48, 1, 1, 1)), pixels.permute(0, 2, 3, 4, 1))


def test_the_constants_are_48_and_sane() -> None:
    assert len(LATENT_MEAN) == len(LATENT_DEVIATION) == 48
    assert (min(LATENT_MEAN), max(LATENT_MEAN)) == (-0.2944, 0.5109)
    assert (min(LATENT_DEVIATION), max(LATENT_DEVIATION)) == (0.3523, 1.6887)


def test_a_tensor_of_the_file_reaches_its_place(codec: WanVideoCodec, tensors: dict[str, Tensor]) -> None:
    state = codec._autoencoder.state_dict()
    for original, renamed in (
        ("encoder.downsamples.1.downsamples.2.time_conv.weight", "encoder.down_blocks.1.downsampler.time_conv.weight"),
        ("decoder.upsamples.3.upsamples.2.residual.6.bias", "decoder.up_blocks.3.resnets.2.conv2.bias"),
        ("decoder.middle.2.residual.3.gamma", "decoder.mid_block.resnets.1.norm2.gamma"),
        ("conv2.bias", "post_quant_conv.bias"),
    ):
        assert torch.equal(state[renamed], tensors[original])


def test_bfloat16_is_near_float32_and_another_identity(weights: Path, codec: WanVideoCodec, video: Tensor) -> None:
    half = build(weights, WanVideoConfig(dtype="bfloat16"))
    assert {tensor.dtype for tensor in half._autoencoder.state_dict().values()} == {torch.bfloat16}
    latent, exact = half.encode(video), codec.encode(video)
    assert latent.dtype == torch.float32
    assert not torch.equal(latent, exact)
    assert (latent - exact).abs().max() / exact.abs().max() < 0.05
    assert half.identity != codec.identity
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(codec.encode(video), exact)


def test_tiles_are_decoded_one_by_one(weights: Path, codec: WanVideoCodec) -> None:
    tiles = WanVideoConfig(
        "float32", True, tile_height_px=32, tile_width_px=64, tile_stride_height_px=16, tile_stride_width_px=48
    )
    tiled = build(weights, tiles)
    latent = torch.randn(1, 48, 2, 3, 7, generator=torch.Generator().manual_seed(0))
    calls: list[tuple[int, ...]] = []
    tiled._autoencoder.decoder.register_forward_hook(lambda _, given, __: calls.append(tuple(given[0].shape[-2:])))
    decoded, whole = tiled.decode(latent), codec.decode(latent)
    assert decoded.shape == whole.shape == (1, 5, 48, 112, 3)
    # Rows start at 0, 1, 2 and columns at 0, 3, 6 latents; each tile is decoded for both latent frames.
    assert len(calls) == 2 * 3 * 3
    assert max(calls) == (2, 4)
    # The first tile's own part is what that tile alone decodes to.
    corner = codec.decode(latent[..., :2, :4])
    difference = decoded[:, :, :16, :48].int() - corner[:, :, :16, :48].int()
    assert difference.abs().max() <= 1
    assert not torch.equal(decoded, whole)
    assert tiled.identity == codec.identity


def test_tiles_as_large_as_the_picture_change_nothing(weights: Path, codec: WanVideoCodec, video: Tensor) -> None:
    """The default tile is that of the release: 22 x 40 latents."""
    tiled = build(weights, WanVideoConfig("float32", tiling=True))
    latent = codec.encode(video)
    assert torch.equal(tiled.encode(video), latent)
    assert torch.equal(tiled.decode(latent), codec.decode(latent))
    assert tiled._autoencoder.tile_sample_min_height == 22 * 16
    assert tiled._autoencoder.tile_sample_stride_width == 26 * 16


def test_decoding_takes_what_a_model_may_make(codec: WanVideoCodec) -> None:
    decoded = codec.decode(100 * torch.randn(1, 48, 2, 2, 2, generator=torch.Generator().manual_seed(0)))
    assert (decoded.min(), decoded.max()) == (0, 255)


def test_saving_writes_a_reference_and_no_weights(codec: WanVideoCodec, weights: Path, tmp_path: Path) -> None:
    codec.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["type"] == "wan_video"
    assert config["reference"]["file"] == "Wan2.2_VAE.pth"
    assert config["reference"]["size"] == weights.stat().st_size
    assert config["reference"]["repository"] == "Wan-AI/Wan2.2-TI2V-5B"
    assert config["reference"]["licence"] == "Apache-2.0"
    assert len(config["reference"]["sha256"]) == 64


@pytest.mark.parametrize("place", ["file", "folder", "mirror"])
def test_loading_finds_the_weights(
    codec: WanVideoCodec, weights: Path, video: Tensor, tmp_path: Path, place: str
) -> None:
    codec.save(tmp_path / "codec")
    location = {"file": weights, "folder": weights.parent, "mirror": tmp_path / "hub"}[place]
    mirrored = tmp_path / "hub" / "Wan-AI" / "Wan2.2-TI2V-5B" / "Wan2.2_VAE.pth"
    mirrored.parent.mkdir(parents=True)
    mirrored.write_bytes(weights.read_bytes())
    loaded = WanVideoCodec.load(tmp_path / "codec", location)
    assert loaded.identity == codec.identity
    assert torch.equal(loaded.encode(video[:1]), codec.encode(video[:1]))


def test_loading_without_a_location_says_what_is_needed(codec: WanVideoCodec, tmp_path: Path) -> None:
    codec.save(tmp_path)
    with pytest.raises(InputError, match=r"needs Wan2\.2_VAE\.pth \(2\.8 GB, licence Apache-2\.0\) of Wan-AI/"):
        WanVideoCodec.load(tmp_path)
    with pytest.raises(InputError, match=r"Wan2\.2_VAE\.pth .* is not at"):
        WanVideoCodec.load(tmp_path, tmp_path)


def test_other_weights_than_the_codec_was_made_with_are_refused(
    codec: WanVideoCodec, weights: Path, tensors: dict[str, Tensor], tmp_path: Path
) -> None:
    codec.save(tmp_path / "codec")
    other = tmp_path / "Wan2.2_VAE.pth"
    torch.save(tensors | {"conv2.bias": tensors["conv2.bias"] + 1}, other)
    assert other.stat().st_size == weights.stat().st_size
    with pytest.raises(InputError, match="it is damaged or another version"):
        WanVideoCodec.load(tmp_path / "codec", other)
    other.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(InputError, match="copy it again, it is not whole"):
        WanVideoCodec.load(tmp_path / "codec", other)


def test_an_edited_config_is_refused(codec: WanVideoCodec, weights: Path, tmp_path: Path) -> None:
    codec.save(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config["settings"]["dtype"] = "bfloat16"
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match="was edited after it was written"):
        WanVideoCodec.load(tmp_path, weights)
    del config["reference"]
    path.write_text(json.dumps(config))
    with pytest.raises(InputError, match="does not say which file"):
        WanVideoCodec.load(tmp_path, weights)


class Code:
    def __reduce__(self) -> tuple[Any, ...]:
        return (eval, ("1 + 1",))


def damage(name: str, tensors: dict[str, Tensor], path: Path) -> None:
    """Write a weight file that is wrong in the named way."""
    changed: Any = dict(tensors)
    match name:
        case "cut short":
            torch.save(tensors, path)
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        case "text":
            path.write_text("version https://git-lfs.github.com/spec/v1")
        case "empty":
            path.write_bytes(b"")
        case "code in an archive":
            torch.save(changed | {"conv1.bias": Code()}, path)
        case "code in a plain pickle":
            path.write_bytes(pickle.dumps(changed | {"conv1.bias": Code()}, protocol=2))
        case "a list":
            torch.save(list(tensors.values()), path)
        case "wrong shape":
            torch.save(changed | {"decoder.conv1.bias": torch.zeros(7)}, path)
        case "missing":
            del changed["decoder.middle.1.proj.bias"]
            torch.save(changed, path)
        case "unknown":
            torch.save(changed | {"extra.weight": torch.zeros(1)}, path)
        case "doubled":
            torch.save(changed | {"encoder.downsamples.0.downsamples.5.resample.1.bias": torch.zeros(4)}, path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cut short", "is cut short: copy it again"),
        ("text", "is not a PyTorch checkpoint"),
        ("empty", "is not a PyTorch checkpoint"),
        ("code in an archive", "holds code or objects besides tensors"),
        ("code in a plain pickle", "holds code or objects besides tensors"),
        ("a list", "holds no tensors by name"),
        ("wrong shape", r"tensor 'decoder\.conv1\.bias' has shape \[7\], expected \[16\]"),
        ("missing", "lacks tensor 'decoder.mid_block.attentions.0.proj.bias'"),
        ("unknown", "has an unknown tensor 'extra.weight'"),
        ("doubled", "holds two tensors for one place"),
    ],
)
def test_bad_files_are_refused_in_one_line(name: str, message: str, tensors: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "bad.pth"
    damage(name, tensors, path)
    with pytest.raises(InputError, match=message) as caught:
        build(path)
    assert "bad.pth" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_files_from_before_archives_are_read(tensors: dict[str, Tensor], codec: WanVideoCodec, tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save(tensors, path, _use_new_zipfile_serialization=False)
    state = build(path)._autoencoder.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in codec._autoencoder.state_dict().items())


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (torch.zeros(1, 9, 32, 32, 3), "must be uint8"),
        (torch.zeros(1, 8, 32, 32, 3, dtype=torch.uint8), "4n \\+ 1 frames, got 8"),
        (torch.zeros(1, 9, 40, 32, 3, dtype=torch.uint8), "multiples of 16 pixels, got 40x32"),
    ],
)
def test_clips_that_do_not_fit_are_refused(codec: WanVideoCodec, video: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        codec.encode(video)


def test_latents_of_another_codec_are_refused(codec: WanVideoCodec) -> None:
    with pytest.raises(InputError, match=r"shape \[B, 48, T, H, W\], got \[1, 16, 2, 2, 2\]"):
        codec.decode(torch.zeros(1, 16, 2, 2, 2))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dtype": "float16"}, "latents.video.wan.dtype is 'float16'; it must be float32 or bfloat16"),
        ({"tile_height_px": 100}, "tile_height_px is 100; it must be a multiple of 16"),
        ({"tile_stride_width_px": 656}, "tile_stride_width_px is 656; it must be a multiple of 16 up to 640"),
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        replace(WanVideoConfig(), **wrong).check("latents.video.wan")
