"""Slaney's mel filters over any range of frequencies, as librosa has them, for models trained on its log-mel."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nava.latents.mel import BREAK_HZ, BREAK_MEL, LINEAR_HZ_PER_MEL, LOG_STEP


@lru_cache(maxsize=4)
def slaney_triangles(rate_hz: int, transform: int, bins: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Area-normalised triangles [bins, transform // 2 + 1].

    Args:
        rate_hz: of the samples.
        transform: samples of the Fourier transform; odd numbers have no bin at half the rate.
        bins: number of triangles.
        low_hz, high_hz: where the first begins and the last ends.
    """
    edge_mel = np.linspace(_mel(low_hz), _mel(high_hz), bins + 2)
    linear_hz = edge_mel * LINEAR_HZ_PER_MEL
    edge_hz = np.where(edge_mel < BREAK_MEL, linear_hz, BREAK_HZ * np.exp(LOG_STEP * (edge_mel - BREAK_MEL)))
    frequency_F = np.fft.rfftfreq(transform, 1 / rate_hz)
    low, centre, high = edge_hz[:-2, None], edge_hz[1:-1, None], edge_hz[2:, None]
    triangle_MF = np.minimum((frequency_F - low) / (centre - low), (high - frequency_F) / (high - centre))
    return np.maximum(triangle_MF, 0.0) * 2.0 / (high - low)


def _mel(frequency_hz: float) -> float:
    if frequency_hz < BREAK_HZ:
        return frequency_hz / LINEAR_HZ_PER_MEL
    return BREAK_MEL + float(np.log(frequency_hz / BREAK_HZ)) / LOG_STEP


def power_spectra(samples_N: np.ndarray, transform: int, hop: int, edges: str) -> np.ndarray:
    """Power [1 + N // hop or, of odd transforms, 1 + (N - 1) // hop, transform // 2 + 1] under periodic Hann windows.

    Args:
        samples_N: any number; to mirror edges, more than half a transform.
        transform: samples of a window.
        hop: from one window to the next, the first in the middle of the first sample.
        edges: `constant` for zeros around, `reflect` to mirror.
    """
    padded_N = np.pad(samples_N.astype(np.float64), transform // 2, mode=edges)  # type: ignore[call-overload]
    window_W = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(transform) / transform)
    frames_TW = np.lib.stride_tricks.sliding_window_view(padded_N, transform)[::hop]
    return np.asarray(np.abs(np.fft.rfft(frames_TW * window_W, axis=1)) ** 2)
