"""Sounds: mono float32 samples in [-1, 1]."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nava.data.synthetic import speech

Samples = NDArray[np.float32]

PITCHES_HZ = (300, 720, 1700)
KNOCKS_HZ: dict[str, tuple[int, int]] = {"knock": (330, 520), "metal": (1900, 3100)}
ROOM_NOISE_RMS = 0.0008
FLASH_DECAY_PER_S = 9.0
_KNOCK_DECAY_PER_S = 22.0
_ATTACK_S = 0.002
# The two lowest formants of ah, ee, oh, eh (Peterson and Barney 1952, rounded).
_VOWEL_FORMANTS_HZ = ((730, 1090), (270, 2290), (570, 840), (530, 1840))


@dataclass(frozen=True)
class Note:
    """A note of a tune: when it starts (seconds), its place on the scale (0 is lowest) and its frequency."""

    start_s: float
    degree: int
    frequency_hz: float


def room_noise(rng: np.random.Generator, n_samples: int, rms: float = ROOM_NOISE_RMS) -> Samples:
    """White noise, as every recording has."""
    return rng.standard_normal(n_samples, dtype=np.float32) * np.float32(rms)


def struck(
    events: Sequence[float],
    partials: Mapping[float, float],
    decay_per_s: float,
    n_samples: int,
    rate_hz: int,
    peak: float = 0.5,
) -> Samples:
    """Partials (weight by frequency) struck anew at each event (seconds), decaying; silent before the first event."""
    if not len(events):
        return np.zeros(n_samples, np.float32)
    time_L = np.arange(n_samples) / rate_hz
    index_L = np.searchsorted(np.asarray(events), time_L, side="right") - 1
    since_L = time_L - np.asarray(events)[np.maximum(index_L, 0)]
    wave_L = sum(weight * np.sin(2.0 * np.pi * hz * since_L) for hz, weight in partials.items())
    envelope_L = np.exp(-decay_per_s * since_L) * np.minimum(since_L / _ATTACK_S, 1.0)
    return np.asarray(np.where(index_L >= 0, peak * envelope_L * wave_L, 0.0), dtype=np.float32)


def flash_tones(events: Sequence[float], pitch_hz: int, n_samples: int, rate_hz: int) -> Samples:
    """The tone of the `flash` family: one pitch, decay exp(-9 dt)."""
    return struck(events, {pitch_hz: 1.0}, FLASH_DECAY_PER_S, n_samples, rate_hz)


def knocks(events: Sequence[float], timbre: str, n_samples: int, rate_hz: int) -> Samples:
    """Short knocks of wood (`knock`) or metal (`metal`)."""
    return struck(events, dict.fromkeys(KNOCKS_HZ[timbre], 0.5), _KNOCK_DECAY_PER_S, n_samples, rate_hz, peak=0.7)


def compose(rng: np.random.Generator, duration_s: float) -> list[Note]:
    """A short tune on a pentatonic scale, with a tempo and note lengths of its own: no two tunes share a beat."""
    beat_s = 60.0 / rng.uniform(80, 150)
    scale = np.array([0, 2, 4, 7, 9, 12])
    root_hz = 220.0 * 2.0 ** (rng.integers(0, 8) / 12.0)
    notes, time_s = [], rng.uniform(0.02, 0.2)
    while time_s < duration_s - 0.1:
        degree = int(rng.integers(len(scale)))
        notes.append(Note(round(float(time_s), 4), degree, float(root_hz * 2.0 ** (scale[degree] / 12.0))))
        time_s += beat_s * rng.choice([0.5, 0.5, 0.75, 1.0]) * rng.uniform(0.85, 1.15)
    return notes


def play(notes: Sequence[Note], n_samples: int, rate_hz: int) -> Samples:
    """Plucked notes that ring on under the following ones."""
    samples = np.zeros(n_samples, np.float32)
    for note in notes:
        start = round(note.start_s * rate_hz)
        length = min(n_samples - start, round(0.9 * rate_hz))
        if length > 0:
            partials = {note.frequency_hz: 0.6, 2 * note.frequency_hz: 0.25, 3 * note.frequency_hz: 0.15}
            samples[start : start + length] += struck([0.0], partials, 6.0, length, rate_hz, peak=0.45)
    return samples


def compose_song(rng: np.random.Generator, duration_s: float) -> list[Note]:
    """A slow melody for a voice: notes of 0.35 to 0.9 s, each begun when the one before ends."""
    root_hz = 180.0 * 2.0 ** (rng.integers(0, 10) / 12.0)
    scale = np.array([0, 2, 4, 5, 7, 9, 11])
    notes, time_s, degree = [], float(rng.uniform(0.05, 0.15)), int(rng.integers(len(scale)))
    while time_s < duration_s - 0.3:
        degree = int(np.clip(degree + rng.integers(-2, 3), 0, len(scale) - 1))
        notes.append(Note(round(time_s, 4), degree, float(root_hz * 2.0 ** (scale[degree] / 12.0))))
        time_s += float(rng.uniform(0.35, 0.9))
    return notes


def sing(notes: Sequence[Note], n_samples: int, rate_hz: int) -> Samples:
    """A voice on vowels: harmonics shaped by two formants, with vibrato, gliding from note to note."""
    times_L = np.arange(n_samples) / rate_hz
    starts = np.array([note.start_s for note in notes])
    index_L = np.clip(np.searchsorted(starts, times_L, side="right") - 1, 0, len(notes) - 1)
    since_L = times_L - starts[index_L]
    pitch_L = np.array([note.frequency_hz for note in notes])[index_L]
    smooth = max(1, round(0.03 * rate_hz))
    pitch_L = np.convolve(
        np.pad(pitch_L, (smooth // 2, smooth - 1 - smooth // 2), mode="edge"), np.full(smooth, 1 / smooth), "valid"
    )
    pitch_L = pitch_L * (1.0 + 0.015 * np.sin(2.0 * np.pi * 5.5 * times_L))
    phase_L = 2.0 * np.pi * np.cumsum(pitch_L) / rate_hz
    formants = np.array([_VOWEL_FORMANTS_HZ[number % len(_VOWEL_FORMANTS_HZ)] for number in range(len(notes))])[index_L]
    voice_L = np.zeros(n_samples)
    for harmonic in range(1, 25):
        hz_L = harmonic * pitch_L
        weight_L = np.exp(-(((hz_L - formants[:, 0]) / 220.0) ** 2)) + 0.5 * np.exp(
            -(((hz_L - formants[:, 1]) / 320.0) ** 2)
        )
        voice_L += np.where(hz_L < 0.45 * rate_hz, (weight_L + 0.05) / harmonic**0.5, 0.0) * np.sin(harmonic * phase_L)
    envelope_L = np.minimum(since_L / 0.06, 1.0) * (times_L >= starts[0])
    voice_L *= 0.6 + 0.4 * envelope_L if len(notes) > 1 else envelope_L
    voice_L *= np.minimum(np.maximum(times_L - starts[0], 0.0) / 0.06, 1.0)
    return np.asarray(0.15 / max(float(np.sqrt(np.mean(voice_L**2))), 1e-6) * voice_L, dtype=np.float32)


def wind(rng: np.random.Generator, n_samples: int, rate_hz: int) -> Samples:
    """Low noise that swells and sinks without an onset."""
    spectrum = np.fft.rfft(rng.standard_normal(n_samples))
    frequency_hz = np.fft.rfftfreq(n_samples, 1.0 / rate_hz)
    noise_L = np.fft.irfft(spectrum / (1.0 + (frequency_hz / 250.0) ** 2), n_samples)
    swell_L = 1.0 + 0.5 * np.sin(2.0 * np.pi * (rng.uniform(0.2, 0.4) * np.arange(n_samples) / rate_hz + rng.uniform()))
    return np.asarray(0.05 * swell_L * noise_L / max(float(noise_L.std()), 1e-9), dtype=np.float32)


def gliding_tone(frequency_L: NDArray[np.float64], rate_hz: int, peak: float = 0.25) -> Samples:
    """A steady tone whose frequency (Hz at each sample) may move."""
    return np.asarray(peak * np.sin(2.0 * np.pi * np.cumsum(frequency_L) / rate_hz), dtype=np.float32)


def rain(rng: np.random.Generator, n_samples: int, rate_hz: int) -> Samples:
    """A soft rush with single drops on it."""
    rush = rng.standard_normal(n_samples, dtype=np.float32)
    rush = (rush - np.convolve(rush, np.full(64, 1 / 64, np.float32), mode="same")) * np.float32(0.05)
    for start in rng.integers(0, n_samples, size=max(1, n_samples * 12 // rate_hz)):
        length = min(n_samples - start, rate_hz // 60)
        decay = np.exp(-np.arange(length, dtype=np.float32) / (rate_hz / 400))
        rush[start : start + length] += rng.uniform(0.05, 0.25) * decay * rng.standard_normal(length, dtype=np.float32)
    return np.asarray(rush, dtype=np.float32)


def resample(samples_L: Samples, from_hz: int, to_hz: int) -> Samples:
    """Band-limited resampling by cutting or padding the spectrum; exact where a sound begins and ends in silence."""
    n_samples = round(len(samples_L) * to_hz / from_hz)
    spectrum = np.fft.rfft(samples_L)
    return np.asarray(
        np.fft.irfft(spectrum[: n_samples // 2 + 1], n_samples) * (n_samples / len(samples_L)), dtype=np.float32
    )


def spoken(utterance: speech.Utterance, rate_hz: int) -> Samples:
    """An utterance at another sample rate, brought to a common loudness."""
    samples = resample(utterance.samples_L, speech.SAMPLE_RATE_HZ, rate_hz)
    return np.asarray(samples * (0.12 / max(float(np.sqrt(np.mean(samples**2))), 1e-6)), dtype=np.float32)


def mix_in(samples_L: Samples, addition_L: Samples, start_s: float, rate_hz: int) -> None:
    """Add a sound at a time, in place; what reaches past the end is left out."""
    start = round(start_s * rate_hz)
    length = min(len(addition_L), len(samples_L) - start)
    if length > 0:
        samples_L[start : start + length] += addition_L[:length]


def fit_length(samples_L: Samples, n_samples: int) -> Samples:
    """Cut, or pad with silence, to a length."""
    return np.pad(samples_L[:n_samples], (0, max(0, n_samples - len(samples_L))))
