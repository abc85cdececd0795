"""SyncNet scoring from features: distance per shift, Sync-D, Sync-C, offset; and which windows there are.

Chung and Zisserman, "Out of time" (2016), as the public code computes it; section 1.2 of the evaluation reference.
Features come from the network as they are: they are not normalised.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nava.evaluation.scoring.score import checked_array
from nava.runtime.errors import InputError

FPS = 25
SAMPLE_RATE_HZ = 16_000
SAMPLES_PER_FRAME = SAMPLE_RATE_HZ // FPS
VIDEO_WINDOW_FRAMES = 5
MFCC_PER_FRAME = 4
MFCC_PER_WINDOW = VIDEO_WINDOW_FRAMES * MFCC_PER_FRAME
MAX_SHIFT_FRAMES = 15
DISTANCE_EPS = 1e-6  # torch's pairwise_distance adds it to every component of the difference


@dataclass(frozen=True)
class SyncScore:
    """How one face track and its sound fit together.

    Attributes:
        distance_K: mean distance per shift [31]; index k compares a picture with the sound k - 15 frames later.
        sync_d: the smallest mean distance (LSE-D); lower is better.
        sync_c: median minus smallest mean distance (LSE-C); higher is better.
        offset_frames: 15 minus the index of the smallest: negative if the sound comes late.
    """

    distance_K: np.ndarray  # noqa: N815
    sync_d: float
    sync_c: float
    offset_frames: int


def shift_distances(video_ND: np.ndarray, audio_ND: np.ndarray, max_shift: int = MAX_SHIFT_FRAMES) -> np.ndarray:
    """Distance of each window's picture to the sound at each shift [N, 2 * max_shift + 1].

    The sound is padded with zero vectors at both ends, as published: distances to padding are the picture's own length,
    which biases large shifts. Truncating instead would give numbers that compare with nobody's.

    Args:
        video_ND: a feature vector per window of 5 frames.
        audio_ND: one per window of 20 MFCC columns that starts at the same time.
    """
    video_ND = checked_array(video_ND, "SyncNet's video features", "ND")
    audio_ND = checked_array(audio_ND, "SyncNet's audio features", "ND")
    if video_ND.shape != audio_ND.shape:
        raise InputError(f"features of picture and sound differ in shape: {video_ND.shape} and {audio_ND.shape}")
    padded_PD = np.pad(audio_ND, ((max_shift, max_shift), (0, 0)))
    columns = [
        np.linalg.norm(video_ND - padded_PD[shift : shift + len(video_ND)] + DISTANCE_EPS, axis=1)
        for shift in range(2 * max_shift + 1)
    ]
    return np.stack(columns, axis=1)


def sync_score(video_ND: np.ndarray, audio_ND: np.ndarray) -> SyncScore:
    """Score of one track from its features [N, D] each; see `shift_distances`."""
    distance_K = shift_distances(video_ND, audio_ND).mean(axis=0)
    best = int(distance_K.argmin())
    sync_d = float(distance_K[best])
    return SyncScore(distance_K, sync_d, float(np.median(distance_K)) - sync_d, MAX_SHIFT_FRAMES - best)


def window_count(n_frames: int, n_samples: int) -> int:
    """Windows of a track of 25 fps frames and 16 kHz samples: min(frames, whole frames of sound) - 5.

    One fewer than fit, as published. InputError if none is left.
    """
    if n_frames < 0 or n_samples < 0:
        raise InputError(f"a track has no negative length: {n_frames} frames, {n_samples} samples")
    windows = min(n_frames, n_samples // SAMPLES_PER_FRAME) - VIDEO_WINDOW_FRAMES
    if windows < 1:
        raise InputError(
            f"{n_frames} frames and {n_samples} samples are too short for SyncNet: it needs at least "
            f"{VIDEO_WINDOW_FRAMES + 1} frames (25 fps) and {(VIDEO_WINDOW_FRAMES + 1) * SAMPLES_PER_FRAME} samples "
            "(16 kHz)"
        )
    return windows


def video_windows(frames_THWC: np.ndarray, n_windows: int) -> np.ndarray:
    """Windows of 5 frames, one frame apart [N, 3, 5, H, W], a view of the frames [T, H, W, 3]."""
    if frames_THWC.ndim != 4 or frames_THWC.shape[3] != 3:
        raise InputError(f"frames are [T, H, W, 3], got {frames_THWC.shape}")
    _check_windows(len(frames_THWC), n_windows, 1, VIDEO_WINDOW_FRAMES, "frames")
    # The window's own axis comes last: [N, H, W, 3, 5].
    windows = np.lib.stride_tricks.sliding_window_view(frames_THWC, VIDEO_WINDOW_FRAMES, axis=0)
    return windows[:n_windows].transpose(0, 3, 4, 1, 2)


def audio_windows(mfcc_TC: np.ndarray, n_windows: int) -> np.ndarray:
    """Windows of 20 MFCC columns, 4 columns (one video frame) apart [N, 1, 13, 20], a view of [T, 13]."""
    if mfcc_TC.ndim != 2:
        raise InputError(f"MFCC are [T, coefficients], got {mfcc_TC.shape}")
    _check_windows(len(mfcc_TC), n_windows, MFCC_PER_FRAME, MFCC_PER_WINDOW, "MFCC columns")
    windows = np.lib.stride_tricks.sliding_window_view(mfcc_TC, MFCC_PER_WINDOW, axis=0)
    return windows[::MFCC_PER_FRAME][:n_windows, None]


def _check_windows(length: int, n_windows: int, stride: int, size: int, what: str) -> None:
    needed = (n_windows - 1) * stride + size
    if n_windows < 1 or length < needed:
        raise InputError(f"{n_windows} windows need {needed} {what}, there are {length}")
