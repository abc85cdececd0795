"""What PaSST hears of a recording: windows of 10 s every 5 s, as log-mel pictures (section 1.6)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

SAMPLE_RATE_HZ = 32_000
WINDOW_S, STEP_S = 10, 5
# A whole recording shorter than this is heard as it is; longer ones are filled up with zeros.
FILLED_FROM_S = 1.5
PEAK = 10 ** (-1 / 20)
MEL_BINS, LOW_HZ, HIGH_HZ = 128, 0.0, 15_000.0
TRANSFORM, WINDOW_SAMPLES, HOP = 1024, 800, 320
PREEMPHASIS = 0.97
_FLOOR, _MEAN, _DEVIATION = 1e-5, -4.5, 5.0


def windows(samples_N: np.ndarray) -> Iterator[np.ndarray]:
    """Windows of 32 kHz samples [N] that are not all zero, brought to a peak of -1 dBFS."""
    levelled_N = (samples_N * (PEAK / np.abs(samples_N).max())).astype(np.float32)
    length, step = WINDOW_S * SAMPLE_RATE_HZ, STEP_S * SAMPLE_RATE_HZ
    for start in range(0, max(step, len(levelled_N) - step), step):
        window_N = levelled_N[start : start + length]
        if len(window_N) > FILLED_FROM_S * SAMPLE_RATE_HZ:
            window_N = np.pad(window_N, (0, length - len(window_N)))
        yield window_N


def log_mel(samples_N: np.ndarray) -> np.ndarray:
    """The picture [128, 1 + (N - 1) // 320], float32, about -1..1."""
    samples_N = samples_N.astype(np.float64)
    emphasised_N = samples_N[1:] - PREEMPHASIS * samples_N[:-1]
    padded_N = np.pad(emphasised_N, TRANSFORM // 2, mode="reflect")
    frames_TW = np.lib.stride_tricks.sliding_window_view(padded_N, TRANSFORM)[::HOP]
    # The window is shorter than the transform and lies in its middle.
    margin = (TRANSFORM - WINDOW_SAMPLES) // 2
    power_TF = np.abs(np.fft.rfft(frames_TW * np.pad(np.hanning(WINDOW_SAMPLES), margin), axis=1)) ** 2
    picture_MT = (np.log(mel_triangles() @ power_TF.T + _FLOOR) - _MEAN) / _DEVIATION
    return picture_MT.astype(np.float32)


@lru_cache(maxsize=1)
def mel_triangles() -> np.ndarray:
    """Kaldi's filters [128, 513]: triangles on the mel scale 1127 ln(1 + f / 700); none reaches the Nyquist bin."""
    corner_M = np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), MEL_BINS + 2)
    bin_mel_F = _mel(np.fft.rfftfreq(TRANSFORM, 1 / SAMPLE_RATE_HZ))
    low, centre, high = corner_M[:-2, None], corner_M[1:-1, None], corner_M[2:, None]
    triangle_MF = np.minimum((bin_mel_F - low) / (centre - low), (high - bin_mel_F) / (high - centre))
    triangle_MF[:, -1] = 0.0
    return np.maximum(triangle_MF, 0.0)


def _mel(frequency_hz: float | np.ndarray) -> np.ndarray:
    return np.asarray(1127.0 * np.log1p(np.asarray(frequency_hz, dtype=np.float64) / 700.0))
