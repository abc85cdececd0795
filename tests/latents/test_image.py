"""First frames: buckets, crops, orientation, transparency, and what is no picture."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from nava.latents import image as image_module
from nava.latents.image import BUCKETS, bucket_size, load_image
from nava.runtime.errors import InputError


def save(path: Path, width: int, height: int, colour: tuple[int, ...] = (200, 100, 50)) -> Path:
    mode = {1: "L", 3: "RGB", 4: "RGBA"}[len(colour)]
    Image.new(mode, (width, height), colour if len(colour) > 1 else colour[0]).save(path)
    return path


def halves(width: int, height: int) -> Image.Image:
    """Left half red, right half blue."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, : width // 2, 0] = 255
    pixels[:, width // 2 :, 2] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [
        (500, 500, (960, 960)),
        (1000, 800, (1056, 864)),
        (768, 1024, (832, 1088)),
        (600, 400, (1184, 736)),
        (1080, 1920, (704, 1280)),
        (1920, 1080, (1280, 704)),
        (100, 200, (672, 1344)),
        (400, 1000, (608, 1536)),
        (10, 1000, (608, 1536)),
    ],
)
def test_buckets_of_the_release(height: int, width: int, size: tuple[int, int]) -> None:
    assert bucket_size(height, width) == size


def test_the_boundary_is_halfway_and_belongs_to_the_squarer_shape() -> None:
    assert bucket_size(900, 1000) == (960, 960)
    assert bucket_size(899, 1000) == (864, 1056)
    # (9/16 + 1/2) / 2 = 0.53125
    assert bucket_size(17, 32) == (704, 1280)
    assert bucket_size(16_999, 32_000) == (672, 1344)
    assert bucket_size(450, 1000) == (672, 1344)
    assert bucket_size(449, 1000) == (608, 1536)


def test_buckets_are_whole_patches_of_about_one_size() -> None:
    for ratio, short, long in BUCKETS:
        assert short % 2 == long % 2 == 0
        assert abs(short / long - ratio) < 0.05
        assert abs(short * long - 3600) < 210


def test_a_picture_gets_its_bucket(tmp_path: Path) -> None:
    frame = load_image(save(tmp_path / "a.png", 192, 108))
    assert frame.shape == (704, 1280, 3)
    assert frame.dtype == torch.uint8
    assert torch.equal(frame, torch.tensor([200, 100, 50], dtype=torch.uint8).expand(704, 1280, 3))


def test_a_given_size_is_covered_and_cut_in_the_middle(tmp_path: Path) -> None:
    halves(200, 100).save(tmp_path / "a.png")
    frame = load_image(tmp_path / "a.png", size=(64, 64))
    assert frame.shape == (64, 64, 3)
    # 200 x 100 becomes 128 x 64, of which the middle 64 columns stay: the seam lies in the middle.
    assert (frame[:, :28] == torch.tensor([255, 0, 0])).all()
    assert (frame[:, 36:] == torch.tensor([0, 0, 255])).all()


def test_without_a_bucket_a_picture_keeps_its_own_size(tmp_path: Path) -> None:
    frame = load_image(save(tmp_path / "a.png", 100, 50), bucket=False)
    assert frame.shape == (48, 96, 3)
    with pytest.raises(InputError, match=r"b\.png has 12x40 pixels; at least 16x16"):
        load_image(save(tmp_path / "b.png", 12, 40), bucket=False)


def test_a_picture_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    # 6: the camera was turned a quarter to the right.
    exif[0x0112] = 6
    halves(200, 100).save(tmp_path / "a.jpg", exif=exif, quality=95)
    frame = load_image(tmp_path / "a.jpg")
    assert frame.shape == (1344, 672, 3)
    assert frame[10, 300, 0] > 200
    assert frame[-10, 300, 2] > 200


def test_what_is_transparent_is_white(tmp_path: Path) -> None:
    assert (load_image(save(tmp_path / "a.png", 32, 32, (10, 20, 30, 0)), (16, 16)) == 255).all()
    half = load_image(save(tmp_path / "b.png", 32, 32, (0, 0, 0, 128)), (16, 16))
    assert half.unique().tolist() == [127]
    palette = Image.new("P", (32, 32), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(tmp_path / "c.png", transparency=0)
    assert (load_image(tmp_path / "c.png", (16, 16)) == 255).all()


def test_other_colours_become_rgb(tmp_path: Path) -> None:
    assert load_image(save(tmp_path / "grey.png", 32, 32, (77,)), (16, 16)).unique().tolist() == [77]
    Image.new("CMYK", (32, 32), (0, 0, 0, 255)).save(tmp_path / "cmyk.jpg")
    assert load_image(tmp_path / "cmyk.jpg", (16, 16)).max() < 10
    deep = np.full((32, 32), 128 * 256, dtype=np.uint16)
    Image.fromarray(deep).save(tmp_path / "deep.png")
    assert load_image(tmp_path / "deep.png", (16, 16)).unique().tolist() == [128]


def test_the_first_of_several_frames(tmp_path: Path) -> None:
    first, second = Image.new("RGB", (32, 32), (255, 0, 0)), Image.new("RGB", (32, 32), (0, 0, 255))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    assert (load_image(tmp_path / "a.gif", (16, 16)) == torch.tensor([255, 0, 0])).all()


def test_a_strip_is_not_scaled_up_as_a_whole(tmp_path: Path) -> None:
    """8 x 20,000 pixels cover 608 x 1536 only at 608 x 1,520,000."""
    strip = np.zeros((8, 20_000, 3), dtype=np.uint8)
    strip[:, 9_990:10_010, 1] = 255
    Image.fromarray(strip).save(tmp_path / "strip.png")
    frame = load_image(tmp_path / "strip.png")
    assert frame.shape == (608, 1536, 3)
    assert frame[:, 768, 1].min() > 200


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not an image that can be read"),
        (b"hello", "is not an image that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image that can be read"),
        (b"RIFF\x24\x00\x00\x00WAVEfmt ", "is not an image that can be read"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        load_image(path)
    assert "\n" not in str(caught.value)


def test_a_picture_cut_short_is_refused(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for name in ("a.png", "a.jpg"):
        Image.fromarray(noise).save(tmp_path / name)
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[: len(data) // 2])
        with pytest.raises(InputError, match=f"{name} is a damaged image"):
            load_image(tmp_path / name)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no image at '.*nothing\.png'"):
        load_image(tmp_path / "nothing.png")
    with pytest.raises(InputError, match="there is no image at"):
        load_image(tmp_path)


@pytest.mark.parametrize("name", ["a" * 300, "a\0b", "\ud800"])
def test_a_path_that_no_file_can_have_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"the image '.*' cannot be opened: |there is no image at"):
        load_image(tmp_path / name)


def test_huge_pictures_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", 200, 100)
    monkeypatch.setattr(image_module, "MAX_PIXELS", 10_000)
    with pytest.raises(InputError, match=r"a\.png has 200x100 pixels"):
        load_image(path)
    monkeypatch.undo()
    # A header alone that claims 60,000 x 60,000 pixels.
    data = bytearray(path.read_bytes())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match="claims to have far more than 80 million pixels"):
        load_image(path)


@pytest.mark.parametrize("size", [(60, 64), (64, 0), (-16, 16)])
def test_sizes_that_no_latent_fits_are_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="both must be multiples of 16"):
        load_image(save(tmp_path / "a.png", 32, 32), size)
