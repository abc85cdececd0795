"""What every linear block codec keeps: geometry, the first frame, shapes, refusals."""

import pytest
import torch

from nava.latents.blocks import BlockTransformCodec, channel_scale, video_blocks, video_of_blocks
from nava.runtime.errors import InputError


class IdentityCodec(BlockTransformCodec):
    """All values of a 4x2x2 block as channels: lossless."""

    type_name = "identity"


@pytest.fixture
def lossless() -> IdentityCodec:
    size = 4 * 2 * 2 * 3
    return IdentityCodec(torch.eye(size), torch.zeros(size), torch.full((size,), 0.5), 4, 2)


def noise_video(frames: int = 9, height: int = 6, width: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (2, frames, height, width, 3), generator=generator, dtype=torch.uint8)


def test_blocks_and_back_is_lossless() -> None:
    video = noise_video()
    assert torch.equal(video_of_blocks(video_blocks(video, 4, 2), 4, 2), video)


def test_a_codec_with_all_channels_is_lossless(lossless: IdentityCodec) -> None:
    video = noise_video()
    latent = lossless.encode(video)
    assert latent.shape == (2, *lossless.latent_shape(9, 6, 4)) == (2, 48, 3, 3, 2)
    assert latent.dtype == torch.float32
    assert torch.equal(lossless.decode(latent), video)


def test_one_frame_is_one_latent_frame(lossless: IdentityCodec) -> None:
    video = noise_video(frames=1)
    latent = lossless.encode(video)
    assert latent.shape[2] == 1
    assert torch.equal(lossless.decode(latent), video)


def test_the_first_frame_is_coded_alone(lossless: IdentityCodec) -> None:
    video = noise_video()
    changed = video.clone()
    changed[:, 1:] = 0
    assert torch.equal(lossless.encode(video)[:, :, 0], lossless.encode(changed)[:, :, 0])


def test_latent_frames_hold_four_frames_each(lossless: IdentityCodec) -> None:
    video = noise_video()
    changed = video.clone()
    changed[:, 5] = 255 - changed[:, 5]
    differs = (lossless.encode(video) != lossless.encode(changed)).amax(dim=(0, 1, 3, 4))
    assert differs.tolist() == [False, False, True]


def test_scale_divides_the_latents(lossless: IdentityCodec) -> None:
    white = torch.full((1, 1, 2, 2, 3), 255, dtype=torch.uint8)
    assert torch.allclose(lossless.encode(white), torch.tensor(2.0))


@pytest.mark.parametrize("shape", [(1, 8, 4, 4, 3), (1, 9, 5, 4, 3), (1, 9, 4, 7, 3), (1, 9, 0, 4, 3)])
def test_sizes_that_do_not_fit_the_blocks(lossless: IdentityCodec, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="must"):
        lossless.encode(torch.zeros(shape, dtype=torch.uint8))


def test_wrong_type_or_axes(lossless: IdentityCodec) -> None:
    with pytest.raises(InputError, match="uint8"):
        lossless.encode(torch.zeros(1, 9, 4, 4, 3))
    with pytest.raises(InputError, match=r"\[1, 3, 9, 4, 4\]"):
        lossless.encode(torch.zeros(1, 3, 9, 4, 4, dtype=torch.uint8))
    with pytest.raises(InputError, match=r"\[B, 48, T, H, W\]"):
        lossless.decode(torch.zeros(1, 47, 3, 2, 2))


def test_basis_must_match_the_geometry() -> None:
    with pytest.raises(InputError, match="a 4x2x2 block has 48 values"):
        IdentityCodec(torch.eye(12), torch.zeros(12), torch.ones(12), 4, 2)


@pytest.mark.parametrize("whitening", [0.0, 0.4, 1.0])
def test_scaled_channels_have_unit_mean_square(whitening: float) -> None:
    deviation = torch.tensor([12.0, 3.0, 0.5, 0.1])
    scaled = deviation / channel_scale(deviation, whitening)
    assert scaled.square().mean() == pytest.approx(1.0, rel=1e-5)
    assert (scaled[0] / scaled[-1]).item() == pytest.approx(120 ** (1 - whitening), rel=1e-4)


def test_a_channel_that_never_varies_gets_a_finite_scale() -> None:
    scale = channel_scale(torch.tensor([1.0, 0.0]), 1.0)
    assert torch.isfinite(scale).all()
    assert (scale > 0).all()


def test_whitening_out_of_range() -> None:
    with pytest.raises(InputError, match=r"whitening must lie in \[0, 1\], got 1.5"):
        channel_scale(torch.ones(2), 1.5)
