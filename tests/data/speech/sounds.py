"""Sounds of known kind at 16 kHz: speech by espeak, a sung vowel of another make than the generator's, tunes, noise."""

import functools
import wave

import numpy as np
from scipy.signal import lfilter

from nava.data.synthetic import sound
from nava.data.synthetic.speech import SENTENCES, SHORT_SENTENCES, VOICES, speak

RATE_HZ = 16_000
CLIP_SAMPLES = 33_280


@functools.cache
def spoken(voice=0, sentence=0, short=False):
    """One sentence; read only."""
    text = (SHORT_SENTENCES if short else SENTENCES)[sentence]
    samples_N = sound.spoken(speak(text, VOICES[voice], seed=1 + sentence), RATE_HZ)
    samples_N.setflags(write=False)
    return samples_N


def in_clip(*parts, n_samples=CLIP_SAMPLES, seed=0):
    """Parts (start in seconds, samples) over the noise of a room."""
    clip_N = sound.room_noise(np.random.default_rng(seed), n_samples)
    for start_s, samples_N in parts:
        sound.mix_in(clip_N, samples_N, start_s, RATE_HZ)
    return clip_N


def dialog(first=0, second=1, gap_s=0.1):
    """Two speakers, one after the other, and when the second one begins."""
    one, two = spoken(first, 0, short=True), spoken(second, 1, short=True)
    start_s = 0.1 + len(one) / RATE_HZ + gap_s
    n_samples = round((start_s + 0.1) * RATE_HZ) + len(two)
    return in_clip((0.1, one), (start_s, two), n_samples=n_samples), start_s


def sung(seed=0, n_samples=CLIP_SAMPLES, vibrato_semitones=0.4):
    """A sawtooth through three resonators, on notes of a scale with vibrato: no part of the generator."""
    rng = np.random.default_rng(seed)
    time_N = np.arange(n_samples) / RATE_HZ
    semitone_N, gain_N, start = np.zeros(n_samples), np.zeros(n_samples), 0
    for degree in rng.permutation([0, 2, 4, 5, 7, 9, 11]):
        length = min(round(rng.uniform(0.35, 0.7) * RATE_HZ), n_samples - start)
        if length <= 0:
            break
        edge = np.minimum(np.arange(length), np.arange(length)[::-1]) / (0.03 * RATE_HZ)
        semitone_N[start : start + length], gain_N[start : start + length] = degree, np.minimum(edge, 1.0)
        start += length
    semitone_N = np.convolve(np.pad(semitone_N, 400, mode="edge"), np.full(801, 1 / 801), "valid")
    hz_N = 196.0 * 2 ** ((semitone_N + vibrato_semitones * np.sin(2 * np.pi * 5.5 * time_N)) / 12)
    voice_N = 2 * (np.cumsum(hz_N) / RATE_HZ % 1) - 1
    for formant_hz, width_hz in ((600, 90), (1200, 120), (2700, 200)):
        radius = np.exp(-np.pi * width_hz / RATE_HZ)
        poles = [1, -2 * radius * np.cos(2 * np.pi * formant_hz / RATE_HZ), radius**2]
        voice_N = lfilter([1 - radius], poles, voice_N)
    return in_clip((0.0, (0.3 * gain_N * voice_N / np.abs(voice_N).max()).astype(np.float32)), seed=seed)


def tune(seed=0):
    """Plucked notes."""
    rng = np.random.default_rng(seed)
    notes = sound.compose(rng, CLIP_SAMPLES / RATE_HZ)
    return in_clip((0.0, sound.play(notes, CLIP_SAMPLES, RATE_HZ)), seed=seed)


def glide(hz=500.0):
    """A steady sine whose pitch goes up and down."""
    time_N = np.arange(CLIP_SAMPLES) / RATE_HZ
    return in_clip((0.0, sound.gliding_tone(hz * (1 + 0.15 * np.sin(2 * np.pi * 0.7 * time_N)), RATE_HZ)))


def rain(seed=0):
    """A rush with drops."""
    return in_clip((0.0, sound.rain(np.random.default_rng(seed), CLIP_SAMPLES, RATE_HZ)))


def knocks():
    """Single knocks."""
    return in_clip((0.0, sound.knocks([0.2, 0.8, 1.5], "knock", CLIP_SAMPLES, RATE_HZ)))


def write_wav(path, samples_N):
    """Mono, 16 bit."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes((np.clip(samples_N, -1, 1) * 32767).astype("<i2").tobytes())
    return path
