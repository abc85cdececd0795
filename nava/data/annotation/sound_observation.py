"""What a clip sounds like, measured: silence, a voice, a struck tone, a knock, a steady tone, a tune, a rush of noise;
and how high.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

_BLOCK_S = 0.02
_LOWEST_HZ = 80.0
_FFT = 2048

# Shares and ratios below were set on generated clips of known kind; every class stands well apart there (docs of the
# captioner's accuracy).
_SILENT_RMS = 1e-3
_NOISE_FLATNESS = 0.3
_VOICE_FLATNESS = 0.0015
_STEADY_VARIATION = 0.2
_PURE_SHARE = 0.85  # of the power within a semitone of the peak: one partial
_KNOCK_VARIATION = 1.55
_KNOCK_ATTACK = 0.6  # of the highest level, within 20 ms; a voice swells
_KNOCK_FLATNESS = 0.01
_OCTAVE_SHARE = 0.85  # of the highest peak: the first peak so high is the period, later ones are its multiples
_VOICE_SPLIT_HZ = 165.0
_PITCH_WORDS = ((460.0, "low"), (1100.0, "middle"))  # geometric middles of 300, 720 and 1700 Hz


class SoundKind(StrEnum):
    """The classes the captioner has words for."""

    SILENCE = "silence"
    NOISE = "noise"
    VOICE = "voice"
    STEADY_TONE = "steady_tone"
    STRUCK_TONE = "struck_tone"
    KNOCK = "knock"
    TUNE = "tune"


@dataclass(frozen=True)
class SoundObservation:
    """A clip's sound.

    Attributes:
        kind: its class.
        frequency_hz: the strongest partial of the loud parts; for a voice its fundamental; 0 for silence and noise.
        onsets: how many times the level jumps.
    """

    kind: SoundKind
    frequency_hz: float
    onsets: int

    @property
    def pitch(self) -> str:
        """`low`, `middle` or `high`; for a voice `low` or `high`."""
        if self.kind is SoundKind.VOICE:
            return "low" if self.frequency_hz < _VOICE_SPLIT_HZ else "high"
        return next((word for limit_hz, word in _PITCH_WORDS if self.frequency_hz < limit_hz), "high")


def observe_sound(audio: npt.NDArray[np.float32], rate_hz: int) -> SoundObservation:
    """Classifies mono samples (float32, -1 to 1)."""
    hop = int(_BLOCK_S * rate_hz)
    level = np.sqrt((audio[: len(audio) // hop * hop].reshape(-1, hop).astype(np.float64) ** 2).mean(axis=1))
    if not len(level) or level.max() < _SILENT_RMS:
        return SoundObservation(SoundKind.SILENCE, 0.0, 0)
    power, frequency_hz = _whole_spectrum(audio, rate_hz)
    peak_hz = _dominant_hz(audio, rate_hz)
    near_peak = np.abs(np.log2(frequency_hz / peak_hz)) < 1 / 12
    pure_share = float(power[near_peak].sum() / power.sum())
    flatness = float(np.exp(np.log(power + 1e-12).mean()) / power.mean())
    variation = float(level.std() / level.mean())
    onsets = count_onsets(level)
    if flatness > _NOISE_FLATNESS:
        return SoundObservation(SoundKind.NOISE, 0.0, onsets)
    if variation < _STEADY_VARIATION and flatness < _VOICE_FLATNESS:
        return SoundObservation(SoundKind.STEADY_TONE, peak_hz, onsets)
    if pure_share > _PURE_SHARE:
        return SoundObservation(SoundKind.STRUCK_TONE, peak_hz, onsets)
    attack = float(np.diff(level).max() / level.max())
    if variation > _KNOCK_VARIATION and attack > _KNOCK_ATTACK and flatness < _KNOCK_FLATNESS:
        return SoundObservation(SoundKind.KNOCK, peak_hz, onsets)
    if flatness > _VOICE_FLATNESS:
        return SoundObservation(SoundKind.VOICE, _fundamental_hz(audio, rate_hz), onsets)
    return SoundObservation(SoundKind.TUNE, peak_hz, onsets)


def count_onsets(level: npt.NDArray[np.float64]) -> int:
    """Jumps of the level (per 20 ms block) by more than a fifth of its largest value."""
    rise = np.diff(level, prepend=level[0]) > 0.2 * level.max()
    return int(np.count_nonzero(rise & ~np.concatenate([[False], rise[:-1]])))


def _whole_spectrum(
    audio: npt.NDArray[np.float32], rate_hz: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)))) ** 2
    frequency_hz = np.fft.rfftfreq(len(audio), 1 / rate_hz)
    heard = frequency_hz > _LOWEST_HZ
    return spectrum[heard] + 1e-18, np.asarray(frequency_hz[heard], np.float64)


def _windows(audio: npt.NDArray[np.float32], size: int) -> npt.NDArray[np.float64]:
    """Half-overlapping windows [n, size] of the loudest half of a clip."""
    padded = np.pad(audio.astype(np.float64), (0, max(0, size - len(audio))))
    windows = np.lib.stride_tricks.sliding_window_view(padded, size)[:: size // 2]
    power = (windows**2).mean(axis=1)
    return windows[power >= np.median(power)]


def _dominant_hz(audio: npt.NDArray[np.float32], rate_hz: int) -> float:
    spectrum = (np.abs(np.fft.rfft(_windows(audio, _FFT) * np.hanning(_FFT), axis=1)) ** 2).mean(axis=0)
    frequency_hz = np.fft.rfftfreq(_FFT, 1 / rate_hz)
    spectrum[frequency_hz < _LOWEST_HZ] = 0.0
    return float(frequency_hz[int(spectrum.argmax())])


def _fundamental_hz(audio: npt.NDArray[np.float32], rate_hz: int) -> float:
    """Median over loud windows of the autocorrelation's peak between 70 and 400 Hz."""
    size = _FFT // 2
    windows = _windows(audio, size) * np.hanning(size)
    spectrum = np.abs(np.fft.rfft(windows, 2 * size, axis=1)) ** 2
    correlation = np.fft.irfft(spectrum, axis=1)[:, :size]
    # A longer lag sees less of the window: undo that, or every voice sounds high.
    taper = np.fft.irfft(np.abs(np.fft.rfft(np.hanning(size), 2 * size)) ** 2)[:size]
    correlation = correlation / (taper * correlation[:, :1] / taper[0] + 1e-12)
    shortest, longest = int(rate_hz / 400), int(rate_hz / 70)
    band = correlation[:, shortest:longest]
    band = band[band.max(axis=1) > 0.5]
    if not len(band):
        return 0.0
    inner = band[:, 1:-1]
    is_peak = (inner >= band[:, :-2]) & (inner >= band[:, 2:])
    high = is_peak & (inner > _OCTAVE_SHARE * inner.max(axis=1, keepdims=True))
    lags = shortest + 1 + high[high.any(axis=1)].argmax(axis=1)
    return float(rate_hz / np.median(lags)) if len(lags) else 0.0
