"""What VGGish hears of a recording: log-mel pictures of 0.96 s, one after another (arXiv 1609.09430)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

WINDOW_SAMPLES, HOP, TRANSFORM = 400, 160, 512
MEL_BINS, LOW_HZ, HIGH_HZ = 64, 125.0, 7_500.0
EXAMPLE_FRAMES = 96
SAMPLE_RATE_HZ = 16_000
MIN_SAMPLES = WINDOW_SAMPLES + (EXAMPLE_FRAMES - 1) * HOP
_OFFSET = 0.01


def examples(samples_N: np.ndarray) -> np.ndarray:
    """Pictures of 16 kHz samples, float32 [W, 96, 64]; what is left at the end is not heard."""
    frames_TN = np.lib.stride_tricks.sliding_window_view(samples_N.astype(np.float64), WINDOW_SAMPLES)[::HOP]
    window_N = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES)
    magnitude_TF = np.abs(np.fft.rfft(frames_TN * window_N, TRANSFORM, axis=1))
    log_TM = np.log(magnitude_TF @ _triangles().T + _OFFSET).astype(np.float32)
    count = len(log_TM) // EXAMPLE_FRAMES
    return log_TM[: count * EXAMPLE_FRAMES].reshape(count, EXAMPLE_FRAMES, MEL_BINS)


@lru_cache(maxsize=1)
def _triangles() -> np.ndarray:
    """Filters [64, 257]: triangles on the mel scale 1127 ln(1 + f / 700), peak 1."""
    corner_M = np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), MEL_BINS + 2)
    bin_mel_F = _mel(np.fft.rfftfreq(TRANSFORM, 1 / SAMPLE_RATE_HZ))
    low, centre, high = corner_M[:-2, None], corner_M[1:-1, None], corner_M[2:, None]
    return np.maximum(0.0, np.minimum((bin_mel_F - low) / (centre - low), (high - bin_mel_F) / (high - centre)))


def _mel(frequency_hz: float | np.ndarray) -> np.ndarray:
    return np.asarray(1127.0 * np.log1p(np.asarray(frequency_hz) / 700.0))
