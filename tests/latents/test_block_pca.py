"""The fitted video codec: it reconstructs its corpus, keeps event times, and is the same every time."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nava.config.latents import VideoCodecConfig
from nava.latents.block_pca import BlockPcaCodec, principal_components
from nava.latents.quality import psnr_db, ssim
from nava.runtime.errors import InputError
from tests.latents.conftest import FIT_CLIPS, FlashSet


def test_reconstructs_held_out_clips(block_pca: BlockPcaCodec, flashes: FlashSet) -> None:
    latent = block_pca.encode(flashes.held_out_video)
    assert latent.shape == (8, 48, 13, 4, 4)
    decoded = block_pca.decode(latent)
    assert psnr_db(decoded, flashes.held_out_video).mean() > 28
    assert ssim(decoded, flashes.held_out_video).mean() > 0.9


def test_brightness_of_every_frame_survives(block_pca: BlockPcaCodec, flashes: FlashSet) -> None:
    """Flashes are read from the mean brightness of the frames, so this is what synchrony depends on."""
    decoded = block_pca.decode(block_pca.encode(flashes.held_out_video))
    track, reference = (video.float().amax(-1).mean((2, 3)) for video in (decoded, flashes.held_out_video))
    correlations = [torch.corrcoef(torch.stack(pair))[0, 1].item() for pair in zip(track, reference, strict=True)]
    assert min(correlations) > 0.97


def test_latents_of_the_fit_have_unit_mean_square(block_pca: BlockPcaCodec, flashes: FlashSet) -> None:
    latent = block_pca.encode(flashes.fit_video)
    assert latent.square().mean() == pytest.approx(1.0, abs=0.1)


def test_whitening_keeps_large_structure_first(block_pca: BlockPcaCodec, flashes: FlashSet) -> None:
    deviation = block_pca.encode(flashes.fit_video).transpose(0, 1).flatten(1).std(dim=1)
    assert deviation[0] > deviation[10] > deviation[40]


def test_basis_is_orthonormal(block_pca: BlockPcaCodec) -> None:
    assert torch.allclose(block_pca.basis_CD @ block_pca.basis_CD.T, torch.eye(48), atol=1e-4)


def test_the_same_fit_twice_is_the_same_codec(
    block_pca: BlockPcaCodec, flashes: FlashSet, video_config: VideoCodecConfig
) -> None:
    again = BlockPcaCodec.fit(flashes.fit_video.split(16), FIT_CLIPS, video_config, seed=0)
    assert again.identity == block_pca.identity
    other = BlockPcaCodec.fit(flashes.fit_video.split(16), FIT_CLIPS, video_config, seed=1)
    assert other.identity != block_pca.identity


def test_saved_and_loaded_is_the_same_codec(block_pca: BlockPcaCodec, flashes: FlashSet, tmp_path: Path) -> None:
    block_pca.save(tmp_path)
    loaded = BlockPcaCodec.load(tmp_path)
    assert loaded.identity == block_pca.identity
    assert torch.equal(loaded.encode(flashes.held_out_video), block_pca.encode(flashes.held_out_video))


def test_too_few_clips_to_fit(flashes: FlashSet, video_config: VideoCodecConfig) -> None:
    config = replace(video_config, fit_blocks=60)
    with pytest.raises(InputError, match=r"60 blocks are too few to fit 48 channels.*block_dct"):
        BlockPcaCodec.fit([flashes.fit_video[:1]], 1, config, seed=0)
    with pytest.raises(InputError, match="no clip with a picture"):
        BlockPcaCodec.fit([], 0, config, seed=0)


def test_principal_components_equal_those_of_the_covariance() -> None:
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(4000, 30, generator=generator) * torch.linspace(5, 0.1, 30)
    data -= data.mean(dim=0)
    basis, deviation = principal_components(data, 6, iterations=6, oversampling=8, generator=generator)
    variance, vectors = torch.linalg.eigh(data.T @ data / len(data))
    assert torch.allclose(deviation, variance.flip(0)[:6].sqrt(), rtol=1e-3)
    assert torch.allclose((basis @ vectors.flip(1)[:, :6]).abs(), torch.eye(6), atol=0.02)
    assert (basis.gather(1, basis.abs().argmax(1, keepdim=True)) > 0).all()
