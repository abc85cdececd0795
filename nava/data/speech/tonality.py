"""How much of a sound is held notes, as singing and music are, and speech is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from nava.data.speech.pitch import HOP_S, Note, distinct_pitches, held_notes, pitch_track

Samples = npt.NDArray[np.float32]

# A band of 0.8 semitones to both sides holds a vibrato; the pitch of speech leaves it within a syllable.
_SPREAD_SEMITONES = 0.8
_LEAST_NOTE_S = 0.2
_LEAP_FRAMES, _OCTAVE_SEMITONES = 2, 13.0
_HALF_VIBRATO_FRAMES = 9  # 90 ms, half a period at 5.5 Hz
_FFT = 1024
_PEAK_BINS = 3

# Set on generated clips of known kind (seed 11 of the generator) and checked on those of seed 12.
_HELD_SHARE, _HELD_VOICED_SHARE = 0.75, 0.85
_MOVING_SEMITONES = 0.08  # a voice is never quite still on a note; a plucked string is
_PURE_SHARE = 0.99  # one partial and nothing else: a whistle or a test tone, no voice


@dataclass(frozen=True)
class Tonality:
    """What a pitch track shows.

    Attributes:
        voiced_share: of the time that has a pitch, 0 to 1.
        held_share: of that time that lies in notes of at least 0.2 s, 0 to 1.
        distinct: different pitches of these notes.
        leaps: how often the pitch jumps by more than 0.8 semitones within 20 ms.
        wobble: how far the pitch moves within notes at the rate of a vibrato, in semitones (median).
        pure_share: of the power, in the strongest partial (median over time), 0 to 1.
    """

    voiced_share: float
    held_share: float
    distinct: int
    leaps: int
    wobble: float
    pure_share: float

    @property
    def is_held(self) -> bool:
        """A sound with overtones that goes on in notes, as no speech does: syllables end and slide."""
        return (
            self.voiced_share >= _HELD_VOICED_SHARE and self.held_share >= _HELD_SHARE and self.pure_share < _PURE_SHARE
        )

    @property
    def is_sung(self) -> bool:
        """Notes of a voice: never quite still."""
        return self.is_held and self.wobble >= _MOVING_SEMITONES

    @property
    def is_tune(self) -> bool:
        """Notes that are still and follow each other in leaps."""
        return self.is_held and self.wobble < _MOVING_SEMITONES and self.distinct >= 2 and self.leaps >= 2


def measure_tonality(samples_N: Samples) -> Tonality:
    """Measures mono samples at 16 kHz."""
    pitch_F = pitch_track(samples_N)
    voiced_F = pitch_F > 0
    notes = held_notes(pitch_F, _SPREAD_SEMITONES, _LEAST_NOTE_S)
    held_s = sum(note.t1_s - note.t0_s for note in notes)
    voiced_s = float(voiced_F.sum()) * HOP_S
    return Tonality(
        voiced_share=float(voiced_F.mean()) if len(voiced_F) else 0.0,
        held_share=held_s / voiced_s if voiced_s else 0.0,
        distinct=distinct_pitches(notes),
        leaps=_leaps(pitch_F),
        wobble=_wobble(pitch_F, notes),
        pure_share=_pure_share(samples_N),
    )


def _semitones(pitch_F: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Semitones above 1 Hz; not a number where there is no pitch."""
    return np.where(pitch_F > 0, 12.0 * np.log2(np.maximum(pitch_F, 1.0)), np.nan)


def _leaps(pitch_F: npt.NDArray[np.float64]) -> int:
    semitone_F = _semitones(pitch_F)
    step_F = np.abs(semitone_F[_LEAP_FRAMES:] - semitone_F[:-_LEAP_FRAMES])
    # An octave up or down is the pitch tracker's own error as often as a note.
    leap_F = (step_F >= _SPREAD_SEMITONES) & (step_F < _OCTAVE_SEMITONES)
    return int(np.count_nonzero(leap_F & ~np.concatenate([[False], leap_F[:-1]])))


def _wobble(pitch_F: npt.NDArray[np.float64], notes: list[Note]) -> float:
    """Median deviation of the pitch from the mean of the pitches half a vibrato before and after."""
    reach = _HALF_VIBRATO_FRAMES
    deviations = []
    for note in notes:
        semitone_F = _semitones(pitch_F[round(note.t0_s / HOP_S) : round(note.t1_s / HOP_S)])
        around_F = (semitone_F[: -2 * reach] + semitone_F[2 * reach :]) / 2.0
        deviations.append(np.abs(semitone_F[reach:-reach] - around_F))
    together = np.concatenate(deviations) if deviations else np.zeros(0)
    return float(np.median(together)) if len(together) else 0.0


def _pure_share(samples_N: Samples) -> float:
    padded = np.pad(samples_N.astype(np.float64), (0, max(0, _FFT - len(samples_N))))
    window_TW = np.lib.stride_tricks.sliding_window_view(padded, _FFT)[:: _FFT // 2] * np.hanning(_FFT)
    power_TK = np.abs(np.fft.rfft(window_TW, axis=1)) ** 2
    bins = np.arange(power_TK.shape[1])
    near_TK = np.abs(bins - power_TK.argmax(axis=1)[:, None]) <= _PEAK_BINS
    total_T = np.maximum(power_TK.sum(axis=1), 1e-12)
    return float(np.median((power_TK * near_TK).sum(axis=1) / total_T))
