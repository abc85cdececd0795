"""What can be said of a sound without a network: loudness, clipping, silence."""

from __future__ import annotations

import math

import numpy as np

from nava.evaluation.scoring.score import Score, checked_array
from nava.runtime.errors import InputError

CLIPPED_LEVEL = 0.985  # of full scale; codecs move samples off the exact limit
SILENCE_DBFS = -55.0
SILENCE_BLOCK_S = 0.02
_METER_BLOCK_S = 0.4  # BS.1770 gates blocks of that length


def integrated_loudness(samples_N: np.ndarray, sample_rate_hz: int) -> Score:
    """Integrated loudness in LUFS (ITU-R BS.1770-4) of mono samples in -1..1.

    No value for less than 0.4 s, and for sound that is below the absolute gate of -70 LUFS from start to end.
    """
    try:
        import pyloudnorm
    except ImportError as error:
        raise InputError("loudness needs pyloudnorm, which is not installed: pip install 'nava[benchmark]'") from error
    samples_N = _checked_sound(samples_N, sample_rate_hz)
    if len(samples_N) < _METER_BLOCK_S * sample_rate_hz:
        return Score.missing(f"loudness needs {_METER_BLOCK_S} s of sound, there are {len(samples_N)} samples")
    if not samples_N.any():
        return Score.missing("the sound is silent")
    with np.errstate(divide="ignore"):
        loudness = float(pyloudnorm.Meter(sample_rate_hz).integrated_loudness(samples_N))
    if not math.isfinite(loudness):
        return Score.missing("the sound stays below the loudness gate of -70 LUFS")
    return Score(loudness)


def clipping_share(samples_N: np.ndarray, level: float = CLIPPED_LEVEL) -> Score:
    """Share 0..1 of samples at or above ``level`` of full scale, either sign."""
    return Score(float((np.abs(_full_scale(samples_N)) >= level).mean()))


def silence_share(samples_N: np.ndarray, sample_rate_hz: int, threshold_dbfs: float = SILENCE_DBFS) -> Score:
    """Share 0..1 of whole 20 ms blocks whose RMS is below the threshold in dB of full scale (a sine of 1 has -3)."""
    samples_N = _checked_sound(samples_N, sample_rate_hz)
    block = round(SILENCE_BLOCK_S * sample_rate_hz)
    blocks = len(samples_N) // block
    if not blocks:
        return Score.missing(f"silence is judged in blocks of {block} samples, there are {len(samples_N)}")
    rms_B = np.sqrt((samples_N[: blocks * block].reshape(blocks, block) ** 2).mean(axis=1))
    return Score(float((rms_B < 10 ** (threshold_dbfs / 20)).mean()))


def _checked_sound(samples_N: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    if sample_rate_hz < 1 / SILENCE_BLOCK_S:
        raise InputError(f"a sample rate of {sample_rate_hz} Hz is no sound's")
    return _full_scale(samples_N)


def _full_scale(samples_N: np.ndarray) -> np.ndarray:
    """The samples, in -1..1. InputError for integers, which count in other units."""
    if np.issubdtype(np.asarray(samples_N).dtype, np.integer):
        raise InputError(f"samples are floats in -1..1, not {np.asarray(samples_N).dtype}: divide them by full scale")
    return checked_array(samples_N, "samples", "N")
