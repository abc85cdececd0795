"""MFCC against the definition, worked out again with loops and without an FFT."""

import math

import numpy as np
import pytest

from nava.evaluation.scoring.mfcc import COEFFICIENTS, mel_triangles, mfcc
from nava.runtime.errors import InputError

RATE = 16_000


def noise(n, seed=0, level=3000):
    return np.round(np.random.default_rng(seed).normal(size=n) * level).astype(np.int16)


def slow_mfcc(samples, rate=RATE):
    signal = [float(samples[0])] + [float(samples[i]) - 0.97 * float(samples[i - 1]) for i in range(1, len(samples))]
    window, step = int(0.025 * rate), int(0.01 * rate)
    frames = 1 if len(signal) <= window else 1 + math.ceil((len(signal) - window) / step)
    signal += [0.0] * (window + step * frames)
    time, bins = np.arange(512), np.arange(257)
    dft = np.exp(-2j * np.pi * np.outer(bins, time) / 512)  # no FFT
    rows = []
    for frame in range(frames):
        power = np.abs(dft[:, :window] @ np.array(signal[frame * step : frame * step + window])) ** 2 / 512
        bands = [max(sum(w * p for w, p in zip(row, power)), 2.220446049250313e-16) for row in slow_triangles(rate)]
        row = []
        for k in range(13):
            scale = math.sqrt(1 / 26) if k == 0 else math.sqrt(2 / 26)
            total = sum(math.log(b) * math.cos(math.pi * k * (2 * n + 1) / 52) for n, b in enumerate(bands))
            row.append(scale * total * (1 + 11 * math.sin(math.pi * k / 22)))
        row[0] = math.log(max(power.sum(), 2.220446049250313e-16))
        rows.append(row)
    return np.array(rows)


def slow_triangles(rate):
    def hz(mel):
        return 700 * (10 ** (mel / 2595) - 1)

    top = 2595 * math.log10(1 + rate / 2 / 700)
    corner = [math.floor(513 * hz(top * k / 27) / rate) for k in range(28)]
    rows = np.zeros((26, 257))
    for m in range(26):
        for k in range(corner[m], corner[m + 1]):
            rows[m, k] = (k - corner[m]) / (corner[m + 1] - corner[m])
        for k in range(corner[m + 1], corner[m + 2]):
            rows[m, k] = (corner[m + 2] - k) / (corner[m + 2] - corner[m + 1])
    return rows


@pytest.mark.parametrize("n", [400, 401, 1500, 100])
def test_it_is_the_definition(n):
    np.testing.assert_allclose(mfcc(noise(n)), slow_mfcc(noise(n)), rtol=1e-9, atol=1e-8)


def test_it_is_the_definition_for_a_tone_and_for_another_rate():
    tone = np.round(8000 * np.sin(2 * np.pi * 440 * np.arange(900) / RATE))
    np.testing.assert_allclose(mfcc(tone), slow_mfcc(tone), rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(mfcc(noise(800), 8000), slow_mfcc(noise(800), 8000), rtol=1e-9, atol=1e-8)


def test_triangles():
    np.testing.assert_allclose(mel_triangles(RATE), slow_triangles(RATE), atol=1e-12)
    assert mel_triangles(RATE).max(axis=1).tolist() == [1.0] * 26


@pytest.mark.parametrize(("n", "frames"), [(1, 1), (400, 1), (401, 2), (560, 2), (561, 3), (64_000, 399)])
def test_number_of_frames(n, frames):
    assert mfcc(noise(n)).shape == (frames, COEFFICIENTS)


def test_a_whole_number_of_video_frames_has_one_column_too_few_and_that_is_enough():
    # 100 frames of 640 samples: 399 columns; the last of the 95 windows ends at column 4 * 94 + 20 = 396.
    assert len(mfcc(noise(64_000))) == 399 >= 4 * 94 + 20


def test_ten_times_louder_moves_the_energy_by_log_100_and_nothing_else():
    quiet, loud = mfcc(noise(1600, level=100)), mfcc(noise(1600, level=100).astype(np.int32) * 10)
    np.testing.assert_allclose(loud[:, 0] - quiet[:, 0], np.log(100))
    np.testing.assert_allclose(loud[:, 1:], quiet[:, 1:], atol=1e-9)


def test_silence_is_finite():
    assert np.isfinite(mfcc(np.zeros(1600))).all()


@pytest.mark.parametrize(
    ("samples", "rate", "message"),
    [
        (np.array([0.5, -0.25]), RATE, "int16"),
        (np.array([70_000.0]), RATE, "int16"),
        (np.zeros(0), RATE, "non-empty"),
        (np.zeros((2, 100)), RATE, "shape"),
        (np.zeros(4800), 48_000, "1200 samples"),
    ],
)
def test_wrong_samples_are_refused(samples, rate, message):
    with pytest.raises(InputError, match=message):
        mfcc(samples, rate)
