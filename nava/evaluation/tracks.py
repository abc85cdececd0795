"""What of a clip is compared: one value per video frame from the picture, one from the sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

VisualTrack = Callable[[np.ndarray], np.ndarray]


def brightness(video_THWC: np.ndarray) -> np.ndarray:
    """Per frame, the mean over pixels of max(R, G, B), 0..255: the track of a flash. uint8 [T, H, W, 3] -> [T]."""
    return _checked(video_THWC).max(axis=3).astype(np.float64).mean(axis=(1, 2))


def motion(video_THWC: np.ndarray) -> np.ndarray:
    """Per frame, the mean absolute change against the frame before, grey levels. uint8 [T, H, W, 3] -> [T].

    The first frame repeats the second's value, since it has none of its own.
    """
    frames = _checked(video_THWC).astype(np.float32)
    if len(frames) < 2:
        return np.zeros(len(frames))
    change = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3), dtype=np.float64)
    return np.concatenate([change[:1], change])


def audio_envelope(audio: np.ndarray, sample_rate_hz: int, fps: float, n_frames: int) -> np.ndarray:
    """Square root of the RMS of the samples shown with each video frame. Mono float [N] -> [n_frames].

    Frame t covers samples [t / fps, (t + 1) / fps); missing samples count as silence. ValueError for anything but mono.
    """
    if audio.ndim != 1:
        raise ValueError(f"audio is mono [samples], got shape {audio.shape}")
    edges = np.round(np.arange(n_frames + 1) * sample_rate_hz / fps).astype(int)
    padded = np.zeros(int(edges[-1]), dtype=np.float64)
    kept = min(len(audio), len(padded))
    padded[:kept] = audio[:kept]
    energy = np.add.reduceat(padded**2, edges[:-1]) / np.diff(edges)
    return energy**0.25


def _checked(video_THWC: np.ndarray) -> np.ndarray:
    if video_THWC.ndim != 4 or video_THWC.shape[3] != 3 or video_THWC.dtype != np.uint8:
        raise ValueError(f"video is uint8 [T, H, W, 3], got {video_THWC.dtype} {video_THWC.shape}")
    return video_THWC
