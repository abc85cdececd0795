"""What moves and what sounds, over time: the tracks that onset and offset metrics compare."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features, UnmeasurableError
from nava.evaluation.scoring.av_alignment import BLOCKS, block_motion
from nava.evaluation.tracks import audio_envelope

RATE_HZ = 25.0
HEIGHT = 96


class Tracks:
    """Motion of the picture by blocks and energy of the sound at 25 values per second."""

    version = 1
    weights_sha256 = None

    def extract(self, clip: ClipFile) -> Features:
        """`motion_TB` (grey levels; absent without a picture) and `energy_T` (root of RMS), both of the same length."""
        samples_N, sample_rate_hz = clip.own_samples_N, clip.sample_rate
        seconds = len(samples_N) / sample_rate_hz
        energy_T = audio_envelope(samples_N, sample_rate_hz, RATE_HZ, max(1, int(seconds * RATE_HZ)))
        arrays = {"energy_T": energy_T}
        # Sound alone has an energy track all the same.
        with suppress(UnmeasurableError):
            motion_TB = _at_rate(_motion(clip.frames_THWC), clip.fps)
            length = min(len(motion_TB), len(energy_T))
            arrays = {"energy_T": energy_T[:length], "motion_TB": motion_TB[:length]}
        return Features({"rate_hz": RATE_HZ, "seconds": seconds}, arrays)


def _motion(frames_THWC: np.ndarray) -> np.ndarray:
    """Block motion of every n-th pixel, so that it costs little in large pictures."""
    if len(frames_THWC) < 2:
        raise UnmeasurableError("a single frame has no motion")
    step = max(1, frames_THWC.shape[1] // HEIGHT)
    small = np.ascontiguousarray(frames_THWC[:, ::step, ::step])
    return block_motion(small, min(BLOCKS, *small.shape[1:3]))


def _at_rate(track_TB: np.ndarray, fps: float) -> np.ndarray:
    """The track at `RATE_HZ`, by linear interpolation between frames."""
    times_T = np.arange(int(len(track_TB) / fps * RATE_HZ)) / RATE_HZ
    frames_F = np.arange(len(track_TB)) / fps
    return np.stack([np.interp(times_T, frames_F, block_T) for block_T in track_TB.T], axis=1)
