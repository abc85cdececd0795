"""What can be said of pictures without a network: sharpness, flicker, frozen frames, colourfulness, exposure.

Technical quality, not aesthetics: none of them is called AS or VQ. Luma is BT.601, 0..255. Frames are looked at one by
one, since a whole clip as floats takes gigabytes.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from nava.evaluation.scoring.score import Score
from nava.runtime.errors import InputError

_LUMA_THOUSANDTHS = np.array((299.0, 587.0, 114.0))  # whole numbers: grey 239 has luma 239 and not a little less
FROZEN_STEP = 0.5  # grey levels of mean change: below it, two frames are one picture and its coding noise
BLACK, WHITE = 16.0, 239.0


def luma(frame_HWC: np.ndarray) -> np.ndarray:
    """Luma [H, W], 0..255, of one RGB frame [H, W, 3]."""
    return np.asarray(frame_HWC @ _LUMA_THOUSANDTHS) / 1000


def sharpness(video_THWC: np.ndarray) -> np.ndarray:
    """Per frame [T], the variance of the Laplacian of luma (grey levels squared; Pech-Pacheco 2000): low is blurred.

    The Laplacian is left + right + above + below - 4 x centre, at all pixels that have these neighbours.
    """
    video_THWC = _checked(video_THWC)
    if min(video_THWC.shape[1:3]) < 3:
        raise InputError(f"sharpness needs pictures of at least 3x3 pixels, got {video_THWC.shape[1:3]}")
    return np.array([_laplacian(luma(frame_HWC)).var() for frame_HWC in video_THWC])


def flicker(video_THWC: np.ndarray) -> Score:
    """How much the brightness trembles: mean distance of a frame's mean luma from the mean of its two neighbours'.

    Grey levels. A steady fade has none; alternating between a and b has |a - b|. No value below three frames.
    """
    brightness_T = _checked(video_THWC).mean(axis=(1, 2)) @ _LUMA_THOUSANDTHS / 1000
    if len(brightness_T) < 3:
        return Score.missing(f"flicker needs three frames, there are {len(brightness_T)}")
    return Score(float(np.abs(brightness_T[1:-1] - (brightness_T[:-2] + brightness_T[2:]) / 2).mean()))


def frozen_share(video_THWC: np.ndarray, smallest_step: float = FROZEN_STEP) -> Score:
    """Share 0..1 of steps from frame to frame whose mean absolute change of luma is below so many grey levels."""
    video_THWC = _checked(video_THWC)
    if len(video_THWC) < 2:
        return Score.missing("a single frame cannot be frozen")
    steps = np.array([np.abs(after - before).mean() for before, after in pairwise(map(luma, video_THWC))])
    return Score(float((steps < smallest_step).mean()))


def colourfulness(video_THWC: np.ndarray) -> np.ndarray:
    """Per frame [T], M3 of Hasler and Suesstrunk (2003): 0 for grey, about 15 slightly, 109 extremely colourful.

    sqrt(var(rg) + var(yb)) + 0.3 sqrt(mean(rg)^2 + mean(yb)^2), rg = R - G, yb = (R + G) / 2 - B.
    """
    return np.array([_colourfulness(frame_HWC) for frame_HWC in _checked(video_THWC)])


def exposure(video_THWC: np.ndarray) -> Score:
    """Share 0..1 of pixels whose luma lies strictly between 16 and 239: neither nearly black nor nearly white."""
    lumas = (luma(frame_HWC) for frame_HWC in _checked(video_THWC))
    return Score(float(np.mean([((luma_HW > BLACK) & (luma_HW < WHITE)).mean() for luma_HW in lumas])))


def _checked(video_THWC: np.ndarray) -> np.ndarray:
    if video_THWC.ndim != 4 or video_THWC.shape[3] != 3 or video_THWC.dtype != np.uint8 or not video_THWC.size:
        raise InputError(f"video is non-empty uint8 [T, H, W, 3], got {video_THWC.dtype} {video_THWC.shape}")
    return video_THWC


def _laplacian(luma_HW: np.ndarray) -> np.ndarray:
    across = luma_HW[1:-1, :-2] + luma_HW[1:-1, 2:]
    along = luma_HW[:-2, 1:-1] + luma_HW[2:, 1:-1]
    return across + along - 4 * luma_HW[1:-1, 1:-1]


def _colourfulness(frame_HWC: np.ndarray) -> float:
    red, green, blue = np.moveaxis(frame_HWC.astype(np.float64), 2, 0)
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    spread = np.sqrt(red_green.var() + yellow_blue.var())
    return float(spread + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()))
