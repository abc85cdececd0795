"""Which frame is shown when a picture is played at another rate, as ffmpeg's filter `fps` decides it."""

from __future__ import annotations

import numpy as np


def frame_ticks(n_frames: int, fps: float, rate_hz: float) -> np.ndarray:
    """The tick of the other rate to which each frame's time rounds, halves upwards."""
    return np.floor(np.arange(n_frames) * rate_hz / fps + 0.5).astype(int)


def shown_frames(n_frames: int, fps: float, rate_hz: float, count: int) -> np.ndarray:
    """The frame at each of the first ticks: the last one whose time, in ticks, rounds to it or earlier.

    Frames are repeated or left out, never mixed. -1 at a tick before the first frame's.
    """
    return np.searchsorted(frame_ticks(n_frames, fps, rate_hz), np.arange(count), side="right") - 1
