"""What every registered codec must keep, whatever its kind: the contract that the rest of the platform relies on."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nava.config.latents import AudioCodecConfig, VideoCodecConfig, WanVideoConfig
from nava.latents.block_dct import BlockDctCodec
from nava.latents.block_pca import BlockPcaCodec
from nava.latents.interface import AudioCodec, VideoCodec
from nava.latents.ltx_audio import LtxAudioCodec
from nava.latents.mel_pca import MelPcaCodec
from nava.latents.quality import envelope
from nava.latents.registry import AUDIO_CODECS, VIDEO_CODECS
from nava.latents.wan_video import WanVideoCodec
from tests.latents.conftest import FIT_CLIPS, FlashSet
from tests.latents.flash_clips import FPS, draw_flash
from tests.latents.original_layouts import write_small_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the codecs that have published ones; here random, so that they have the form but not the quality."""
    return write_small_weights(tmp_path_factory.mktemp("published") / "weights")


@pytest.fixture(params=sorted(VIDEO_CODECS))
def video_codec(request: pytest.FixtureRequest, block_pca: BlockPcaCodec, weights: Path) -> VideoCodec:
    exact = WanVideoConfig(dtype="float32")
    return {
        "block_pca": lambda: block_pca,
        "block_dct": lambda: BlockDctCodec.build(VideoCodecConfig(type="block_dct")),
        "wan_video": lambda: WanVideoCodec.build(VideoCodecConfig(weights=str(weights), wan=exact)),
    }[request.param]()


@pytest.fixture(params=sorted(AUDIO_CODECS))
def audio_codec(request: pytest.FixtureRequest, mel_pca: MelPcaCodec, weights: Path) -> AudioCodec:
    return {
        "mel_pca": lambda: mel_pca,
        "ltx_audio": lambda: LtxAudioCodec.build(AudioCodecConfig(weights=str(weights))),
    }[request.param]()


def embedded_video(test: Callable[..., None]) -> Callable[..., None]:
    """What only weights of a fit can promise."""
    return pytest.mark.parametrize("video_codec", ["block_dct", "block_pca"], indirect=True)(test)


def embedded_audio(test: Callable[..., None]) -> Callable[..., None]:
    return pytest.mark.parametrize("audio_codec", ["mel_pca"], indirect=True)(test)


@pytest.mark.parametrize(("frames", "height", "width"), [(1, 16, 16), (5, 64, 32), (49, 64, 64)])
def test_video_shapes(video_codec: VideoCodec, frames: int, height: int, width: int) -> None:
    video = torch.randint(0, 256, (2, frames, height, width, 3), dtype=torch.uint8)
    latent = video_codec.encode(video)
    assert latent.shape[1:] == video_codec.latent_shape(frames, height, width)
    assert latent.dtype == torch.float32
    assert latent.is_contiguous()
    decoded = video_codec.decode(latent)
    assert decoded.shape == video.shape
    assert decoded.dtype == torch.uint8


def test_decoded_frames_follow_the_length_rule(video_codec: VideoCodec) -> None:
    for latents, frames in ((1, 1), (2, 5), (13, 49)):
        decoded = video_codec.decode(torch.zeros(1, video_codec.channels, latents, 1, 1))
        assert decoded.shape == (1, frames, 16, 16, 3)


def test_noise_far_outside_the_data_decodes_to_valid_pixels(video_codec: VideoCodec) -> None:
    """An untrained model makes such latents."""
    generator = torch.Generator().manual_seed(0)
    decoded = video_codec.decode(100 * torch.randn(1, video_codec.channels, 3, 2, 2, generator=generator))
    assert decoded.min() == 0
    assert decoded.max() == 255


def test_video_of_a_clip_does_not_depend_on_its_batch(video_codec: VideoCodec, flashes: FlashSet) -> None:
    clips = flashes.held_out_video[:3, :25]
    together = video_codec.encode(clips)
    assert torch.allclose(together[2:3], video_codec.encode(clips[2:3]), atol=1e-4)
    assert torch.equal(video_codec.encode(clips), together)


@embedded_video
def test_a_second_generation_loses_little(video_codec: VideoCodec, flashes: FlashSet) -> None:
    """The codec is a projection: what it has decoded once it encodes to nearly the same latents."""
    latent = video_codec.encode(flashes.held_out_video)
    again = video_codec.encode(video_codec.decode(latent))
    assert (again - latent).square().mean() / latent.square().mean() < 0.05


@pytest.mark.parametrize("latents", [2, 6, 52])
def test_audio_shapes(audio_codec: AudioCodec, latents: int) -> None:
    """25 latents per second."""
    samples = 0.1 * torch.randn(2, latents * audio_codec.sample_rate_hz // 25)
    latent = audio_codec.encode(samples)
    assert latent.shape[1:] == audio_codec.latent_shape(samples.shape[1]) == (latents, audio_codec.channels)
    assert latent.dtype == torch.float32
    decoded = audio_codec.decode(latent)
    assert decoded.dtype == torch.float32
    assert decoded.shape[:-1] == ((2,) if audio_codec.sound_channels == 1 else (2, audio_codec.sound_channels))
    # To within one latent as long as what was encoded.
    seconds = decoded.shape[-1] / audio_codec.output_sample_rate_hz
    assert 0 <= latents / 25 - seconds < 1 / 25


def test_one_channel_is_mono(audio_codec: AudioCodec) -> None:
    samples = 0.1 * torch.randn(2, 1, 1280, generator=torch.Generator().manual_seed(0))
    channels = samples.expand(-1, audio_codec.sound_channels, -1)
    assert torch.equal(audio_codec.encode(channels), audio_codec.encode(samples[:, 0]))


def test_noise_far_outside_the_data_decodes_to_valid_samples(audio_codec: AudioCodec) -> None:
    generator = torch.Generator().manual_seed(0)
    decoded = audio_codec.decode(5 * torch.randn(1, 20, audio_codec.channels, generator=generator))
    assert torch.isfinite(decoded).all()
    assert decoded.abs().max() <= 1


@embedded_audio
def test_event_times_survive(audio_codec: AudioCodec, flashes: FlashSet) -> None:
    """At each flash the decoded envelope rises, within a frame: what synchrony is measured on."""
    decoded = audio_codec.decode(audio_codec.encode(flashes.held_out_samples))
    rise = envelope(decoded, audio_codec.sample_rate_hz).diff(dim=1).clamp_min(0)
    found = []
    for index, rise_T in enumerate(rise):
        for moment_s in draw_flash(FIT_CLIPS + index).event_s:
            frame = int(moment_s * FPS)
            found.append(rise_T[max(0, frame - 2) : frame + 2].max() > 0.4 * rise_T.max())
    assert len(found) > 16
    assert sum(found) / len(found) > 0.9
    assert (rise > 0.4 * rise.amax(dim=1, keepdim=True)).float().mean() < 0.25


def test_identities_are_digests_and_survive_saving(
    video_codec: VideoCodec, audio_codec: AudioCodec, weights: Path, tmp_path: Path
) -> None:
    for name, codec in (("video", video_codec), ("audio", audio_codec)):
        assert len(codec.identity) == 64
        codec.save(tmp_path / name)
        assert type(codec).load(tmp_path / name, weights).identity == codec.identity
    assert video_codec.identity != audio_codec.identity
