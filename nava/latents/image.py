"""A picture as the first frame of a clip: read, turned upright, made opaque, cropped to a size that the model knows.

Sizes follow the release: seven shapes of about 960 x 960 pixels, in units of 16 pixels, either way up.
"""

import itertools
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from nava.runtime.errors import InputError

UNIT_PX = 16
# Short side over long side, and the size of its bucket (short, long) in units.
BUCKETS: tuple[tuple[float, int, int], ...] = (
    (1 / 1, 60, 60),
    (4 / 5, 54, 66),
    (3 / 4, 52, 68),
    (2 / 3, 46, 74),
    (9 / 16, 44, 80),
    (1 / 2, 42, 84),
    (2 / 5, 38, 96),
)
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
# Larger pictures are more likely meant to fill the memory than to start a film.
MAX_PIXELS = 80_000_000
BACKGROUND = (255, 255, 255)


def bucket_size(height: int, width: int) -> tuple[int, int]:
    """Height and width in pixels of the bucket for a picture: the nearest shape, halfway being the squarer one."""
    ratio = min(height, width) / max(height, width)
    short, long = BUCKETS[-1][1:]
    for (wider, *size), (narrower, *_) in itertools.pairwise(BUCKETS):
        if ratio >= (wider + narrower) / 2:
            short, long = size
            break
    return (long * UNIT_PX, short * UNIT_PX) if height > width else (short * UNIT_PX, long * UNIT_PX)


def load_image(path: str | Path, size: tuple[int, int] | None = None, bucket: bool = True) -> Tensor:
    """Read a picture, scale it to cover the wanted size and cut out the middle.

    Args:
        path: a PNG, JPEG, WebP, BMP, TIFF or GIF file; of several frames the first.
        size: (height, width) in pixels, each a multiple of 16; by default the picture's own choice.
        bucket: without a size, take the bucket of the picture's shape; else only cut to multiples of 16 pixels.

    Returns:
        uint8 RGB [H, W, 3]; what is transparent is white.

    Raises:
        InputError: not a picture, damaged, too large, or a size that is no multiple of 16.
    """
    path = Path(path)
    try:
        found = path.is_file()
    except (OSError, ValueError) as error:
        # ValueError: a NUL in the path.
        raise InputError(f"the image '{path}' cannot be opened: {getattr(error, 'strerror', None) or error}") from error
    if not found:
        raise InputError(f"there is no image at '{path}'")
    image = _read(path)
    if size is None:
        size = bucket_size(image.height, image.width) if bucket else _own_size(path, image)
    elif any(side < UNIT_PX or side % UNIT_PX for side in size):
        raise InputError(f"an image of {size[0]}x{size[1]} pixels was asked for; both must be multiples of {UNIT_PX}")
    import numpy as np

    return torch.from_numpy(np.array(_cover(image, *size)))


def _read(path: Path) -> Any:
    """An upright, opaque RGB image."""
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            opened = Image.open(path, formats=FORMATS)
        if opened.width * opened.height > MAX_PIXELS:
            raise InputError(
                f"{path.name} has {opened.width}x{opened.height} pixels; at most {MAX_PIXELS // 10**6} million are read"
            )
        image = ImageOps.exif_transpose(opened)
        if image.mode.startswith("I"):
            # 16-bit grey: Pillow would clip it to white.
            image = image.point(lambda value: value / 256).convert("L")
        if image.has_transparency_data:
            image = image.convert("RGBA")
            opaque = Image.new("RGBA", image.size, (*BACKGROUND, 255))
            image = Image.alpha_composite(opaque, image)
        return image.convert("RGB")
    except InputError:
        raise
    except Image.DecompressionBombError as error:
        raise InputError(f"{path.name} claims to have far more than {MAX_PIXELS // 10**6} million pixels") from error
    except Image.UnidentifiedImageError as error:
        raise InputError(f"{path.name} is not an image that can be read ({', '.join(FORMATS)})") from error
    except (OSError, ValueError, SyntaxError, EOFError, TypeError) as error:
        raise InputError(
            f"{path.name} is a damaged image: {str(error).splitlines()[0] if str(error) else error!r}"
        ) from error


def _own_size(path: Path, image: Any) -> tuple[int, int]:
    height, width = (side // UNIT_PX * UNIT_PX for side in (image.height, image.width))
    if not height or not width:
        raise InputError(
            f"{path.name} has {image.width}x{image.height} pixels; at least {UNIT_PX}x{UNIT_PX} are needed"
        )
    return height, width


def _cover(image: Any, height: int, width: int) -> Any:
    """Scale by Lanczos so that the picture just covers the size, then cut out the middle."""
    from PIL import Image

    scale = max(width / image.width, height / image.height)
    scaled = (round(image.width * scale), round(image.height * scale))
    if scaled[0] * scaled[1] > MAX_PIXELS:
        # A strip many times as long as wide: what would be cut off must not be scaled up first.
        kept_width, kept_height = width / scale, height / scale
        left, top = (image.width - kept_width) / 2, (image.height - kept_height) / 2
        box = (left, top, left + kept_width, top + kept_height)
        return image.resize((width, height), Image.Resampling.LANCZOS, box=box)
    left, top = (scaled[0] - width) // 2, (scaled[1] - height) // 2
    return image.resize(scaled, Image.Resampling.LANCZOS).crop((left, top, left + width, top + height))
