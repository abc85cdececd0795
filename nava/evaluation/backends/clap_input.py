"""What LAION-CLAP with feature fusion hears of a recording (section 1.6 of the evaluation reference).

48 kHz, peak at -1 dBFS, rounded to 16 bits and back; up to 10 s are repeated as often as they fit and filled up with
zeros. Of longer ones it hears the whole, squeezed to the frames of 10 s, and three stretches of 10 s. The published
code draws these stretches by chance; here they are the middle ones of those that could be drawn, so that a recording
has one embedding.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SAMPLE_RATE_HZ = 48_000
MAX_SAMPLES = 10 * SAMPLE_RATE_HZ
PEAK = 10 ** (-1 / 20)
INT16 = 32_767.0
TRANSFORM, HOP = 1024, 480
BANDS, LOW_HZ, HIGH_HZ = 64, 50.0, 14_000.0
FRAMES = MAX_SAMPLES // HOP + 1
STRETCHES = 3
_FLOOR = 1e-10


def fusion_input(samples_N: np.ndarray) -> np.ndarray:
    """Log-mel pictures in dB, float32 [4, 1001, 64], of 48 kHz samples [N] that are not all zero."""
    samples_N = rounded(samples_N)
    if len(samples_N) <= MAX_SAMPLES:
        repeated_N = np.tile(samples_N, MAX_SAMPLES // len(samples_N))
        mel_TB = log_mel(np.pad(repeated_N, (0, MAX_SAMPLES - len(repeated_N))))
        return np.stack([mel_TB] * (1 + STRETCHES))
    mel_TB = log_mel(samples_N)
    if len(mel_TB) == FRAMES:
        # Longer than 10 s by less than a hop.
        return np.stack([mel_TB] * (1 + STRETCHES))
    return np.stack([squeezed(mel_TB), *(mel_TB[start : start + FRAMES] for start in stretch_starts(len(mel_TB)))])


def rounded(samples_N: np.ndarray) -> np.ndarray:
    """Samples with their peak at -1 dBFS, as 16-bit integers can hold them; fractions are cut off, as published."""
    peak = float(np.abs(samples_N).max())
    levelled_N = np.clip(samples_N.astype(np.float64) * (PEAK / peak), -1.0, 1.0)
    return ((levelled_N * INT16).astype(np.int16) / INT16).astype(np.float32)


def stretch_starts(frames: int) -> list[int]:
    """First frames of three stretches: of all starts that there are, cut into three parts, the middle of each."""
    parts = np.array_split(np.arange(frames - FRAMES + 1), STRETCHES)
    return [int(part[len(part) // 2]) if len(part) else 0 for part in parts]


def squeezed(mel_TB: np.ndarray) -> np.ndarray:
    """Frames [T, B] to [1001, B]: linear between the centres of frames, and nothing beyond the outer ones."""
    centres_F = (np.arange(FRAMES) + 0.5) * len(mel_TB) / FRAMES - 0.5
    places_T = np.arange(len(mel_TB))
    bands = [np.interp(centres_F, places_T, band_T) for band_T in mel_TB.T]
    return np.stack(bands, axis=1).astype(np.float32)


def log_mel(samples_N: np.ndarray) -> np.ndarray:
    """Mel powers in dB, float32 [N // 480 + 1, 64]: frames centred on every 480th sample, the ends mirrored."""
    padded_N = np.pad(samples_N.astype(np.float64), TRANSFORM // 2, mode="reflect")
    frames_TW = np.lib.stride_tricks.sliding_window_view(padded_N, TRANSFORM)[::HOP]
    window_W = np.hanning(TRANSFORM + 1)[:-1]
    power_TF = np.abs(np.fft.rfft(frames_TW * window_W, axis=1)) ** 2
    return (10.0 * np.log10(np.maximum(power_TF @ mel_triangles(), _FLOOR))).astype(np.float32)


@lru_cache(maxsize=1)
def mel_triangles() -> np.ndarray:
    """Filters [513, 64] of height 1: corners even on the mel scale 2595 log10(1 + f / 700), sides straight in Hz."""
    low, high = (2595.0 * np.log10(1.0 + hertz / 700.0) for hertz in (LOW_HZ, HIGH_HZ))
    corner_hz = 700.0 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595.0) - 1.0)
    bin_hz = np.fft.rfftfreq(TRANSFORM, 1 / SAMPLE_RATE_HZ)[:, None]
    rising = (bin_hz - corner_hz[:-2]) / (corner_hz[1:-1] - corner_hz[:-2])
    falling = (corner_hz[2:] - bin_hz) / (corner_hz[2:] - corner_hz[1:-1])
    return np.maximum(np.minimum(rising, falling), 0.0)
