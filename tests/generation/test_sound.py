import numpy as np
import pytest

from nava.generation.sound import fit_length, release_sound


def tones(rate, seconds=1.0, level=0.1):
    time = np.arange(round(rate * seconds)) / rate
    return np.stack([level * np.sin(2 * np.pi * hertz * time) for hertz in (440, 1_000)]).astype(np.float32)


def test_sound_is_cut_or_filled_with_silence():
    samples = tones(16_000)
    np.testing.assert_array_equal(fit_length(samples, 100), samples[:, :100])
    longer = fit_length(samples[0], 16_100)
    np.testing.assert_array_equal(longer[:16_000], samples[0])
    assert not longer[16_000:].any()
    np.testing.assert_array_equal(fit_length(samples, 16_000), samples)


def test_the_release_brings_every_rate_to_16_khz():
    samples, rate = release_sound(tones(48_000), 48_000)
    expected = tones(16_000)
    assert (rate, samples.shape) == (16_000, expected.shape)
    for found, tone in zip(samples, expected):
        assert np.corrcoef(found, tone)[0, 1] > 0.9999
    mono, _ = release_sound(tones(44_100)[0], 44_100)
    assert mono.shape == (16_000,)


def test_the_release_moves_every_peak_to_the_same_height():
    for level in (0.001, 0.3, 5.0):
        samples, rate = release_sound(tones(48_000, level=level), 48_000)
        assert rate == 16_000
        assert samples.dtype == np.float32
        assert np.abs(samples).max() == pytest.approx(0.95)


def test_the_release_clips_before_it_scales():
    samples, _ = release_sound(np.array([0.0, 0.5, 2.0, -3.0], np.float32), 16_000)
    np.testing.assert_allclose(samples, np.array([0.0, 0.5, 0.99, -0.99]) * 0.95 / 0.99, rtol=1e-6)


def test_silence_stays_silent():
    samples, _ = release_sound(np.zeros((2, 100), np.float32), 16_000)
    assert not samples.any()
