"""What MANIQA sees of a picture: 20 squares cut out at random (section 1.4 of the evaluation reference)."""

from __future__ import annotations

import numpy as np

CROPS = 20
SIDE = 224


def crops(frame_HWC: np.ndarray, frame_number: int, side: int = SIDE) -> np.ndarray:
    """Squares of a uint8 RGB frame, float32 [20, 3, side, side], -1 to 1.

    Verse-Bench draws places from a generator that nobody seeds. Here the frame's number is the seed, so that the same
    file always has the same score.

    Args:
        frame_HWC: of `side` pixels each way or more.
        frame_number: from 0.
        side: of a square.
    """
    height, width = frame_HWC.shape[:2]
    rng = np.random.default_rng(frame_number)
    # As published, the last row and column that would fit are never drawn.
    tops, lefts = (rng.integers(max(1, length - side), size=CROPS) for length in (height, width))
    cut = [
        frame_HWC[top : top + side, left : left + side].transpose(2, 0, 1)
        for top, left in zip(tops, lefts, strict=True)
    ]
    return (np.stack(cut).astype(np.float32) / 255 - 0.5) / 0.5
