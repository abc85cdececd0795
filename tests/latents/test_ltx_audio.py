"""The codec of LTX-2.3 on random weights of small width in a file of the original layout, with its metadata."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nava.config.latents import AudioCodecConfig, LtxAudioConfig
from nava.latents.ltx_audio import LtxAudioCodec
from nava.latents.resampling import resample
from nava.runtime.errors import InputError
from tests.latents.original_layouts import (
    SMALL_LTX_AUTOENCODER,
    SMALL_LTX_EXTENSION,
    SMALL_LTX_OLD_VOCODER,
    SMALL_LTX_VOCODER,
    ltx_config,
    write_ltx_file,
)

FILE = "ltx-2.3-22b-dev_audio_vae.safetensors"
VOCODER = {"vocoder": SMALL_LTX_VOCODER, "bwe": SMALL_LTX_EXTENSION}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("weights")


@pytest.fixture(scope="module")
def tensors(folder: Path) -> dict[str, Tensor]:
    return write_ltx_file(folder / FILE, SMALL_LTX_AUTOENCODER, VOCODER, seed=3)


@pytest.fixture(scope="module")
def weights(folder: Path, tensors: dict[str, Tensor]) -> Path:
    return folder / FILE


@pytest.fixture(scope="module")
def codec(weights: Path) -> LtxAudioCodec:
    return build(weights)


@pytest.fixture(scope="module")
def stereo() -> Tensor:
    return 0.2 * torch.randn(2, 2, 16_000, generator=torch.Generator().manual_seed(0))


def build(weights: Path, mode: str = "corrected") -> LtxAudioCodec:
    return LtxAudioCodec.build(AudioCodecConfig(type="ltx_audio", weights=str(weights), ltx=LtxAudioConfig(mode)))


def test_a_clip_goes_there_and_back(codec: LtxAudioCodec, stereo: Tensor) -> None:
    latent = codec.encode(stereo)
    assert latent.shape == (2, 25, 8) == (2, *codec.latent_shape(16_000))
    assert latent.dtype == torch.float32
    assert latent.std() > 0.01
    decoded = codec.decode(latent)
    # 25 latents are 97 mel frames of 10 ms, at three times the rate.
    assert decoded.shape == (2, 2, 97 * 160 * 3)
    assert decoded.dtype == torch.float32
    assert torch.isfinite(decoded).all()
    assert decoded.std() > 0.001
    assert decoded.abs().max() <= 1


def test_what_the_interface_promises(codec: LtxAudioCodec, weights: Path) -> None:
    assert (codec.sound_channels, codec.sample_rate_hz, codec.output_sample_rate_hz) == (2, 16_000, 48_000)
    assert build(weights, "release").output_sample_rate_hz == 16_000
    assert len(codec.identity) == 64


@pytest.mark.parametrize(
    ("samples", "latents"), [(1, 1), (300, 1), (640, 1), (641, 2), (1280, 2), (80_666, 127), (96_667, 152)]
)
def test_lengths(codec: LtxAudioCodec, samples: int, latents: int) -> None:
    """121 frames at 24 a second are 80,666 samples and 127 latents; 145 frames are 152."""
    assert codec.latent_shape(samples) == (latents, 8)
    encoded = codec.encode(0.1 * torch.ones(1, samples))
    assert encoded.shape == (1, latents, 8)
    assert torch.isfinite(encoded).all()


def test_mono_is_played_by_both_channels(codec: LtxAudioCodec, stereo: Tensor) -> None:
    mono = stereo[:, 0]
    assert torch.equal(codec.encode(mono), codec.encode(mono[:, None].expand(-1, 2, -1)))
    assert not torch.allclose(codec.encode(mono), codec.encode(stereo), atol=1e-3)


def test_channels_are_not_mixed_up(codec: LtxAudioCodec, stereo: Tensor) -> None:
    assert not torch.allclose(codec.encode(stereo), codec.encode(stereo.flip(1)), atol=1e-3)


def test_latents_do_not_depend_on_the_batch(codec: LtxAudioCodec, stereo: Tensor) -> None:
    latent = codec.encode(stereo)
    assert torch.allclose(codec.encode(stereo[1:]), latent[1:], atol=1e-4)
    assert torch.allclose(codec.decode(latent[1:]), codec.decode(latent)[1:], atol=1e-4)


def test_latents_are_normalised_means_channel_by_channel(
    codec: LtxAudioCodec, tensors: dict[str, Tensor], stereo: Tensor
) -> None:
    with torch.no_grad():
        moments = codec._autoencoder.encoder(codec._log_mel(stereo))
    mean = tensors["audio_vae.per_channel_statistics.mean-of-means"]
    deviation = tensors["audio_vae.per_channel_statistics.std-of-means"]
    # Two channels of four bins: the channel is the slower index. The last frame belongs to no whole latent.
    wanted = torch.cat([moments[:, 0, :25], moments[:, 1, :25]], dim=-1)
    assert torch.allclose(codec.encode(stereo), (wanted - mean) / deviation, atol=1e-5)


def test_the_input_is_a_log_mel_spectrogram(codec: LtxAudioCodec) -> None:
    silent = codec._log_mel(torch.zeros(1, 2, 1600))
    assert silent.shape == (1, 2, 11, 16)
    assert torch.allclose(silent, torch.tensor(1e-5).log())


def test_decoding_is_the_original_chain(codec: LtxAudioCodec, tensors: dict[str, Tensor]) -> None:
    """Denormalise, decode, first vocoder, mel of its sound, residual, and the same sound at three times the rate."""
    latent = torch.randn(1, 6, 8, generator=torch.Generator().manual_seed(0))
    mean = tensors["audio_vae.per_channel_statistics.mean-of-means"]
    deviation = tensors["audio_vae.per_channel_statistics.std-of-means"]
    raw = (latent * deviation + mean).reshape(1, 6, 2, 4).transpose(1, 2)
    vocoder: Any = codec._vocoder
    with torch.no_grad():
        mel = codec._autoencoder.decoder(raw)
        assert mel.shape == (1, 2, 4 * 6 - 3, 16)
        low = vocoder.vocoder(mel)
        assert low.abs().max() <= 1
        residual = vocoder.bwe_generator(vocoder.mel_stft(low[0])[0][None].transpose(2, 3))
        skip = resample(low, 16_000, 48_000)
    decoded = codec.decode(latent)
    inner = slice(100, -100)
    assert torch.allclose(decoded[..., inner], (residual + skip)[..., inner].clamp(-1, 1), atol=1e-4)
    assert not torch.allclose(decoded[..., inner], skip[..., inner], atol=1e-3)


def test_release_mode_is_resampled_and_cut(codec: LtxAudioCodec, weights: Path) -> None:
    release = build(weights, "release")
    latent = 3 * torch.randn(1, 8, 8, generator=torch.Generator().manual_seed(0))
    native, low = codec.decode(latent), release.decode(latent)
    assert low.shape == (1, 2, 29 * 160)
    assert torch.allclose(low, resample(native, 48_000, 16_000).clamp(-0.99, 0.99), atol=1e-6)
    assert torch.equal(release.encode(native[:, :, :5000]), codec.encode(native[:, :, :5000]))
    assert release.identity == codec.identity


def test_a_caller_under_autocast_gets_float32(codec: LtxAudioCodec, stereo: Tensor) -> None:
    latent = codec.encode(stereo)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(codec.encode(stereo), latent)


def test_a_vocoder_without_bandwidth_extension_keeps_its_own_rate(tmp_path: Path) -> None:
    write_ltx_file(tmp_path / FILE, SMALL_LTX_AUTOENCODER, SMALL_LTX_OLD_VOCODER)
    old = build(tmp_path)
    assert old.output_sample_rate_hz == 24_000
    assert old.decode(torch.zeros(1, 5, 8)).shape == (1, 2, 17 * 240)


def test_sound_of_no_whole_number_of_hops_is_decoded(tmp_path: Path) -> None:
    extension = SMALL_LTX_EXTENSION | {
        "hop_length": 64,
        "upsample_rates": [6, 4, 8],
        "upsample_kernel_sizes": [12, 8, 16],
    }
    write_ltx_file(tmp_path / FILE, SMALL_LTX_AUTOENCODER, {"vocoder": SMALL_LTX_VOCODER, "bwe": extension})
    assert 160 * 17 % 64
    assert build(tmp_path).decode(torch.zeros(1, 5, 8)).shape == (1, 2, 17 * 160 * 3)


def test_nothing_is_left_without_memory(codec: LtxAudioCodec) -> None:
    """The filter of the skip connection is in no file."""
    for model in (codec._autoencoder, codec._vocoder):
        assert not any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers()))
        assert not any(parameter.requires_grad for parameter in model.parameters())
    assert codec.to("cpu") is codec


def test_saving_writes_a_reference_and_no_weights(codec: LtxAudioCodec, weights: Path, tmp_path: Path) -> None:
    codec.save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["config.json"]
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["type"], config["settings"]) == ("ltx_audio", {"mode": "corrected"})
    reference = config["reference"]
    assert (reference["file"], reference["size"]) == (FILE, weights.stat().st_size)
    assert (reference["repository"], reference["licence"]) == ("Lightricks/LTX-2.3", "LTX-2 Community License")


def test_loading(codec: LtxAudioCodec, weights: Path, stereo: Tensor, tmp_path: Path) -> None:
    codec.save(tmp_path)
    loaded = LtxAudioCodec.load(tmp_path, weights.parent)
    assert loaded.identity == codec.identity
    assert torch.equal(loaded.encode(stereo), codec.encode(stereo))
    with pytest.raises(InputError, match=r"needs ltx-2\.3-22b-dev_audio_vae\.safetensors .*LTX-2 Community License"):
        LtxAudioCodec.load(tmp_path)
    other = tmp_path / "other.safetensors"
    write_ltx_file(other, SMALL_LTX_AUTOENCODER, VOCODER, seed=4)
    with pytest.raises(InputError, match="it is damaged or another version"):
        LtxAudioCodec.load(tmp_path, other)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cut short", "is cut short or not a safetensors file"),
        ("text", "is cut short or not a safetensors file"),
        ("no metadata", "has no 'config' in its metadata"),
        ("wrong shape", r"tensor 'vocoder\.vocoder\.conv_pre\.weight' has shape \[16, 2, 7\], expected \[16, 32, 7\]"),
        ("missing", r"lacks tensor 'audio_vae\.latents_mean'"),
        ("unknown", r"has an unknown tensor 'vocoder\.extra'"),
    ],
)
def test_bad_files_are_refused_in_one_line(
    name: str, message: str, tensors: dict[str, Tensor], weights: Path, tmp_path: Path
) -> None:
    path = tmp_path / "bad.safetensors"
    metadata = {"config": json.dumps(ltx_config(SMALL_LTX_AUTOENCODER, VOCODER))}
    changed = dict(tensors)
    match name:
        case "cut short":
            path.write_bytes(weights.read_bytes()[:-100])
        case "text":
            path.write_text("version https://git-lfs.github.com/spec/v1")
        case "no metadata":
            save_file(changed, path)
        case "wrong shape":
            save_file(changed | {"vocoder.vocoder.conv_pre.weight": torch.zeros(16, 2, 7)}, path, metadata)
        case "missing":
            del changed["audio_vae.per_channel_statistics.mean-of-means"]
            save_file(changed, path, metadata)
        case "unknown":
            save_file(changed | {"vocoder.extra": torch.zeros(1)}, path, metadata)
    with pytest.raises(InputError, match=message) as caught:
        build(path)
    assert "bad.safetensors" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_tensors_of_other_models_do_no_harm(codec: LtxAudioCodec, tensors: dict[str, Tensor], tmp_path: Path) -> None:
    metadata = {"config": json.dumps(ltx_config(SMALL_LTX_AUTOENCODER, VOCODER))}
    others = {"model.diffusion_model.x": torch.zeros(3), "vae.decoder.y": torch.zeros(3)}
    save_file(tensors | others, tmp_path / FILE, metadata)
    latent = torch.zeros(1, 3, 8)
    assert torch.equal(build(tmp_path).decode(latent), codec.decode(latent))


def test_tensors_in_bfloat16_are_computed_with_in_float32(tensors: dict[str, Tensor], tmp_path: Path) -> None:
    """As the published file stores them."""
    metadata = {"config": json.dumps(ltx_config(SMALL_LTX_AUTOENCODER, VOCODER))}
    save_file({name: tensor.bfloat16() for name, tensor in tensors.items()}, tmp_path / FILE, metadata)
    codec = build(tmp_path)
    assert {tensor.dtype for tensor in codec._vocoder.state_dict().values()} == {torch.float32}
    assert codec.decode(torch.zeros(1, 3, 8)).dtype == torch.float32


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (torch.zeros(16_000), r"\[B, N\] or \[B, 2, N\]"),
        (torch.zeros(1, 3, 16_000), r"got torch\.float32 \[1, 3, 16000\]"),
        (torch.zeros(1, 2, 16_000, dtype=torch.int16), "must be floating point"),
        (torch.zeros(1, 0), "at least 1 sample"),
    ],
)
def test_sound_of_another_form_is_refused(codec: LtxAudioCodec, samples: Tensor, message: str) -> None:
    with pytest.raises(InputError, match=message):
        codec.encode(samples)


@pytest.mark.parametrize("shape", [(1, 0, 8), (1, 5, 128), (5, 8)])
def test_latents_of_another_codec_are_refused(codec: LtxAudioCodec, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"latents must have shape \[B, L, 8\]"):
        codec.decode(torch.zeros(shape))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(InputError, match=r"latents\.audio\.ltx\.mode is 'hifi'; it must be release or corrected"):
        LtxAudioConfig("hifi").check("latents.audio.ltx")
