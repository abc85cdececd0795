"""Means and deviations of log mel bands: a coarse description of a sound, for distances between sets of sounds."""

from __future__ import annotations

import numpy as np

from nava.evaluation.extraction.clip_file import SPEECH_RATE_HZ, ClipFile
from nava.evaluation.extraction.features import Features

BANDS, TRANSFORM, HOP = 40, 512, 160
LOW_HZ, HIGH_HZ = 60.0, 7600.0
FLOOR = 1e-5


class MelMoments:
    """80 values at 16 kHz."""

    version = 1
    weights_sha256 = None

    def extract(self, clip: ClipFile) -> Features:
        """`embedding_D`: 40 means and 40 deviations of the log of the bands' magnitudes."""
        samples_N = clip.samples_at(SPEECH_RATE_HZ).astype(np.float64)
        padded = np.pad(samples_N, (0, max(0, TRANSFORM - len(samples_N))))
        frames_TW = np.lib.stride_tricks.sliding_window_view(padded, TRANSFORM)[::HOP]
        magnitude_TF = np.abs(np.fft.rfft(frames_TW * np.hanning(TRANSFORM), axis=1))
        log_TB = np.log(np.maximum(magnitude_TF @ _mel_filters(), FLOOR))
        return Features(arrays={"embedding_D": np.concatenate([log_TB.mean(axis=0), log_TB.std(axis=0)])})


def _mel_filters() -> np.ndarray:
    """Triangles on the mel scale 2595 log10(1 + f / 700)."""
    mel = np.linspace(_mel(LOW_HZ), _mel(HIGH_HZ), BANDS + 2)
    edges = 700.0 * (10 ** (mel / 2595.0) - 1.0)
    frequencies_F = np.fft.rfftfreq(TRANSFORM, 1 / SPEECH_RATE_HZ)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (frequencies_F[:, None] - low) / (centre - low)
    falling = (high - frequencies_F[:, None]) / (high - centre)
    return np.clip(np.minimum(rising, falling), 0.0, None)


def _mel(frequency_hz: float) -> float:
    return float(2595.0 * np.log10(1.0 + frequency_hz / 700.0))
