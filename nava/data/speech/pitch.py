"""The pitch of sound frame by frame, and the notes that are held in it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

SAMPLE_RATE_HZ = 16_000
HOP_S = 0.01
LOW_HZ, HIGH_HZ = 70.0, 700.0

_WINDOW = 640  # samples, 40 ms: nearly three periods of the lowest voice
_TRANSFORM = 2048
_VOICED_CORRELATION = 0.5
# The shortest lag whose correlation is this near the best one: longer ones are multiples of the period.
_PERIOD_RATIO = 0.9
_FLOOR_RATIO = 1e-4  # frames with less power than this share of the loudest frame's are pauses (-40 dB)
_SEMITONES = 12.0


@dataclass(frozen=True)
class Note:
    """A pitch that is held: from, to (seconds), and its mean in semitones above 1 Hz."""

    t0_s: float
    t1_s: float
    semitone: float


def pitch_track(samples_N: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """The pitch of every 10 ms in Hz, 70 to 700; 0 where there is none. Autocorrelation, freed of the window's own.

    Args:
        samples_N: mono at 16 kHz.
    """
    hop = round(HOP_S * SAMPLE_RATE_HZ)
    padded = np.pad(samples_N.astype(np.float64), (_WINDOW // 2, _WINDOW // 2))
    frame_FW = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::hop]
    window_W = np.hanning(_WINDOW)
    frame_FW = (frame_FW - frame_FW.mean(axis=1, keepdims=True)) * window_W
    correlation_FL, own_L = _autocorrelation(frame_FW), _autocorrelation(window_W[None])[0]
    power_F = correlation_FL[:, 0]
    heard_F = power_F > max(float(power_F.max(initial=0.0)) * _FLOOR_RATIO, 1e-9)
    relative_FL = correlation_FL / np.maximum(power_F, 1e-12)[:, None] / (own_L / own_L[0])
    shortest, longest = int(SAMPLE_RATE_HZ / HIGH_HZ), int(SAMPLE_RATE_HZ / LOW_HZ)
    band_FL = relative_FL[:, shortest - 1 : longest + 2]
    peak_FL = np.zeros_like(band_FL)
    inner = band_FL[:, 1:-1]
    is_peak = (inner >= band_FL[:, :-2]) & (inner >= band_FL[:, 2:])
    peak_FL[:, 1:-1] = np.where(is_peak, inner, 0.0)
    best_F = peak_FL.max(axis=1)
    index_F = (peak_FL >= _PERIOD_RATIO * np.maximum(best_F, 1e-9)[:, None]).argmax(axis=1)
    lag_F = shortest - 1 + index_F + _parabola(band_FL, index_F)
    voiced_F = heard_F & (best_F > _VOICED_CORRELATION)
    return np.where(voiced_F, SAMPLE_RATE_HZ / np.maximum(lag_F, 1.0), 0.0)


def _autocorrelation(frame_FW: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    power_FK = np.abs(np.fft.rfft(frame_FW, _TRANSFORM, axis=1)) ** 2
    return np.asarray(np.fft.irfft(power_FK, axis=1)[:, : _WINDOW // 2])


def _parabola(band_FL: npt.NDArray[np.float64], index_F: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """By how much of a lag the top of a parabola through a peak and its neighbours lies beside the peak."""
    rows, middle = np.arange(len(band_FL)), np.clip(index_F, 1, band_FL.shape[1] - 2)
    left, top, right = (band_FL[rows, middle + step] for step in (-1, 0, 1))
    curve = left - 2.0 * top + right
    return np.where(np.abs(curve) > 1e-12, 0.5 * (left - right) / np.where(curve == 0, 1.0, curve), 0.0)


def held_notes(pitch_F: npt.NDArray[np.float64], spread_semitones: float, least_s: float) -> list[Note]:
    """The stretches of a pitch track that stay within a band around their running mean.

    Args:
        pitch_F: as `pitch_track` gives it.
        spread_semitones: half the band's width; a vibrato stays inside when it is wide enough.
        least_s: shorter stretches are no notes.
    """
    with np.errstate(divide="ignore"):
        semitone_F = _SEMITONES * np.log2(pitch_F)
    notes: list[Note] = []
    start, total = 0, 0.0
    for index in range(len(pitch_F) + 1):
        length = index - start
        inside = index < len(pitch_F) and pitch_F[index] > 0
        if inside and (length == 0 or abs(semitone_F[index] - total / length) <= spread_semitones):
            total += semitone_F[index]
            continue
        if length and length * HOP_S >= least_s:
            notes.append(Note(start * HOP_S, index * HOP_S, total / length))
        start, total = (index, float(semitone_F[index])) if inside else (index + 1, 0.0)
    return notes


def distinct_pitches(notes: list[Note], apart_semitones: float = 0.8) -> int:
    """How many different pitches the notes have."""
    semitones = sorted(note.semitone for note in notes)
    return bool(semitones) + sum(after - before >= apart_semitones for before, after in pairwise(semitones))
