"""Mel-frequency cepstral coefficients as SyncNet was trained on: the defaults of the package python_speech_features.

Section 1.2 of the evaluation reference. Davis and Mermelstein (1980), with that package's choices: pre-emphasis over
the whole signal, a rectangular window, a last frame padded with zeros, triangles between whole FFT bins, natural log,
orthonormal DCT, sine lifter, and the first coefficient replaced by the frame's log energy.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from nava.evaluation.scoring.score import checked_array
from nava.runtime.errors import InputError

WINDOW_S = 0.025
STEP_S = 0.01
FFT_SIZE = 512
FILTERS = 26
COEFFICIENTS = 13
PREEMPHASIS = 0.97
LIFTER = 22
_FLOOR = float(np.finfo(np.float64).eps)  # stands for zero before the logarithm


def mfcc(samples_N: np.ndarray, sample_rate_hz: int = 16_000) -> np.ndarray:
    """MFCC [frames, 13] of int16 samples [N] (of any type, but whole numbers of that range).

    The number of frames is 1 + ceil((N - window) / step). InputError for samples within -1..1, whose log energy would
    be 21 lower than what SyncNet knows, and for rates whose window does not fit the FFT.
    """
    from scipy.fft import dct

    samples_N = checked_array(samples_N, "samples", "N")
    if np.abs(samples_N).max() > 32_768 or (samples_N != np.round(samples_N)).any():
        raise InputError("MFCC are of int16 samples: scale samples of -1..1 by 32768 and round them")
    power_TF = frame_power(samples_N, sample_rate_hz)
    energy_T = power_TF.sum(axis=1)
    mel_TM = power_TF @ mel_triangles(sample_rate_hz).T
    cepstrum_TC = dct(np.log(_above_zero(mel_TM)), type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    cepstrum_TC = cepstrum_TC * (1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER))
    cepstrum_TC[:, 0] = np.log(_above_zero(energy_T))
    return cepstrum_TC


def frame_power(samples_N: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Power spectrum [frames, 257] of the pre-emphasised samples: |DFT|^2 / 512."""
    window, step = round(WINDOW_S * sample_rate_hz), round(STEP_S * sample_rate_hz)
    if not 0 < window <= FFT_SIZE:
        raise InputError(f"a window of 25 ms at {sample_rate_hz} Hz has {window} samples, the FFT has {FFT_SIZE}")
    emphasised_N = np.append(samples_N[:1], samples_N[1:] - PREEMPHASIS * samples_N[:-1])
    frames = 1 + max(0, -(-(len(samples_N) - window) // step))
    padded = np.zeros((frames - 1) * step + window)
    padded[: len(emphasised_N)] = emphasised_N
    frame_TW = np.lib.stride_tricks.sliding_window_view(padded, window)[::step]
    return np.abs(np.fft.rfft(frame_TW, FFT_SIZE)) ** 2 / FFT_SIZE


@lru_cache(maxsize=4)
def mel_triangles(sample_rate_hz: int) -> np.ndarray:
    """Triangles [26, 257] from 0 Hz to Nyquist, corners rounded down to FFT bins; mel = 2595 log10(1 + f / 700)."""
    corner_mel = np.linspace(0.0, 2595 * np.log10(1 + sample_rate_hz / 2 / 700), FILTERS + 2)
    corner_bin = np.floor((FFT_SIZE + 1) * 700 * (10 ** (corner_mel / 2595) - 1) / sample_rate_hz)
    bin_F = np.arange(FFT_SIZE // 2 + 1)
    low, centre, high = corner_bin[:-2, None], corner_bin[1:-1, None], corner_bin[2:, None]
    rising = (bin_F >= low) & (bin_F < centre)
    falling = (bin_F >= centre) & (bin_F < high)
    # A corner pair on one bin has no side to divide by.
    up = (bin_F - low) / np.maximum(centre - low, 1)
    down = (high - bin_F) / np.maximum(high - centre, 1)
    return np.where(rising, up, np.where(falling, down, 0.0))


def _above_zero(power: np.ndarray) -> np.ndarray:
    return np.where(power == 0, _FLOOR, power)
