"""What a film looks like after somebody else has shared it: decoded, changed, encoded again."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw

from nava.data.synthetic.drawing import Frames
from nava.data.synthetic.files import Film
from nava.data.synthetic.subtitles import load_font

CRF, COARSE_CRF = 20, 36
_SCALES = (0.5, 0.75, 1.5)
_GAINS = (1.2, 1.12, 1.3)
_CROPS = (0.05, 0.1, 0.03)  # of the width and height, on each side


def re_encode(film: Film, change: str, variant: int) -> tuple[Film, int]:
    """Change a decoded film; `variant` sets by how much.

    Returns:
        The film, and the constant rate factor to encode it with.
    """
    if change == "recompressed":
        return film, COARSE_CRF + 2 * (variant % 3)
    return replace(film, frames_THWC=_CHANGES[change](film.frames_THWC, variant)), CRF


def _rescale(frames_THWC: Frames, variant: int) -> Frames:
    _, height, width, _ = frames_THWC.shape
    half = _SCALES[variant % len(_SCALES)] / 2
    size = (round(width * half) * 2, round(height * half) * 2)
    return np.stack(
        [np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC)) for frame in frames_THWC]
    )


def _brighten(frames_THWC: Frames, variant: int) -> Frames:
    gain = np.float32(_GAINS[variant % len(_GAINS)])
    return np.stack([np.clip(frame * gain, 0, 255).astype(np.uint8) for frame in frames_THWC])


def _crop(frames_THWC: Frames, variant: int) -> Frames:
    """Without the edge, and scaled to the old size again."""
    _, height, width, _ = frames_THWC.shape
    share = _CROPS[variant % len(_CROPS)]
    box = (width * share, height * share, width * (1 - share), height * (1 - share))
    return np.stack(
        [
            np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC, box=box))
            for frame in frames_THWC
        ]
    )


def _mirror(frames_THWC: Frames, variant: int) -> Frames:
    return np.ascontiguousarray(frames_THWC[:, :, ::-1])


def _add_logo(frames_THWC: Frames, variant: int) -> Frames:
    """A broadcaster's mark in an upper corner: a disc and letters, half transparent."""
    _, height, width, _ = frames_THWC.shape
    side = round(0.16 * height)
    mark = Image.new("RGBA", (2 * side, side), (0, 0, 0, 0))
    pen = ImageDraw.Draw(mark)
    pen.ellipse((0, 0, side - 1, side - 1), fill=(220, 30, 40, 170))
    name = ("TV 5", "ONE", "kino")[variant % 3]
    pen.text(
        (side * 1.1, side * 0.25), name, font=load_font("DejaVuSans-Bold.ttf", side // 3), fill=(255, 255, 255, 190)
    )
    pixels_HWC = np.asarray(mark)
    left = round(0.04 * width) if variant % 2 else width - round(0.04 * width) - 2 * side
    top = round(0.04 * height)
    marked = frames_THWC.copy()
    view_THWC = marked[:, top : top + side, left : left + 2 * side]
    alpha_HW1 = pixels_HWC[..., 3:].astype(np.float32) / 255.0
    view_THWC[:] = (view_THWC * (1.0 - alpha_HW1) + pixels_HWC[..., :3] * alpha_HW1).astype(np.uint8)
    return marked


_CHANGES: dict[str, Callable[[Frames, int], Frames]] = {
    "rescaled": _rescale,
    "brightened": _brighten,
    "cropped": _crop,
    "mirrored": _mirror,
    "with_logo": _add_logo,
}
