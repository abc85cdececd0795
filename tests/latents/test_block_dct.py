"""The codec without a fit: an orthonormal basis that keeps what the eye and the ear need first."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nava.config.latents import VideoCodecConfig
from nava.latents.block_dct import BlockDctCodec, dct_basis, opponent_colours
from nava.latents.block_pca import BlockPcaCodec
from nava.latents.quality import psnr_db
from nava.runtime.errors import InputError
from tests.latents.conftest import FlashSet

CONFIG = VideoCodecConfig(type="block_dct")


def test_colours_and_basis_are_orthonormal() -> None:
    colours = opponent_colours()
    assert torch.allclose(colours @ colours.T, torch.eye(3), atol=1e-6)
    basis, cost = dct_basis(48, 4, 16)
    assert torch.allclose(basis @ basis.T, torch.eye(48), atol=1e-5)
    assert (cost.diff() >= 0).all()


def test_all_coefficients_of_a_small_block_are_lossless() -> None:
    codec = BlockDctCodec.build(replace(CONFIG, channels=4 * 4 * 4 * 3, spatial_stride=4))
    generator = torch.Generator().manual_seed(0)
    video = torch.randint(0, 256, (1, 9, 8, 12, 3), generator=generator, dtype=torch.uint8)
    assert torch.equal(codec.decode(codec.encode(video)), video)


def test_a_grey_clip_needs_only_the_first_coefficient() -> None:
    codec = BlockDctCodec.build(CONFIG)
    grey = torch.full((1, 5, 16, 16, 3), 200, dtype=torch.uint8)
    latent = codec.encode(grey)
    assert (latent[:, 1:].abs() < 1e-4).all()
    assert torch.equal(codec.decode(latent), grey)


def test_reconstructs_without_a_fit_but_worse_than_the_fit(flashes: FlashSet, block_pca: BlockPcaCodec) -> None:
    codec = BlockDctCodec.build(CONFIG)
    video = flashes.held_out_video
    latent = codec.encode(video)
    decoded = psnr_db(codec.decode(latent), video).mean()
    assert decoded > 26
    assert decoded < psnr_db(block_pca.decode(block_pca.encode(video)), video).mean()
    assert 0.3 < latent.square().mean() < 3


def test_saved_and_loaded(tmp_path: Path) -> None:
    codec = BlockDctCodec.build(CONFIG)
    codec.save(tmp_path)
    assert BlockDctCodec.load(tmp_path).identity == codec.identity == BlockDctCodec.build(CONFIG).identity


def test_a_codec_of_another_type_is_refused(tmp_path: Path) -> None:
    BlockDctCodec.build(CONFIG).save(tmp_path)
    with pytest.raises(InputError, match="describes a block_dct codec, expected block_pca"):
        BlockPcaCodec.load(tmp_path)


def test_more_channels_than_values() -> None:
    with pytest.raises(InputError, match="a block has only 48 values, got 49 channels"):
        dct_basis(49, 4, 2)
