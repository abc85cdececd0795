"""What happens to sound between the codec and the file: length, and in mode release the release's rate and loudness."""

from __future__ import annotations

import numpy as np
import torch

from nava.latents.resampling import resample

RELEASE_RATE_HZ = 16_000
RELEASE_LIMIT = 0.99
RELEASE_PEAK = 0.95


def fit_length(samples: np.ndarray, count: int) -> np.ndarray:
    """Samples [..., N] cut, or filled with silence at the end, to `count`."""
    missing = count - samples.shape[-1]
    if missing <= 0:
        return samples[..., :count]
    return np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(0, missing)])


def release_sound(samples: np.ndarray, rate_hz: int) -> tuple[np.ndarray, int]:
    """Sound [N] or [channels, N] as the release writes it, and its rate: 16 kHz, clipped, its peak moved to 0.95.

    Quiet scenes become loud; mode corrected leaves rate and loudness alone instead.
    """
    resampled = resample(torch.from_numpy(samples), rate_hz, RELEASE_RATE_HZ).numpy()
    limited = resampled.clip(-RELEASE_LIMIT, RELEASE_LIMIT)
    peak = float(np.abs(limited).max(initial=0.0))
    return (limited * (RELEASE_PEAK / peak) if peak > 0 else limited).astype(np.float32), RELEASE_RATE_HZ
