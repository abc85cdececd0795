"""What CLAP hears, against sums over samples and bins as the papers define them."""

import numpy as np
import pytest

from nava.evaluation.backends.clap_input import (
    FRAMES,
    HOP,
    MAX_SAMPLES,
    TRANSFORM,
    fusion_input,
    log_mel,
    mel_triangles,
    rounded,
    squeezed,
    stretch_starts,
)

RATE = 48_000


def noise(samples, seed=0):
    return (0.3 * np.random.default_rng(seed).standard_normal(samples)).astype(np.float32)


def test_the_peak_lies_at_minus_one_decibel_and_steps_are_those_of_16_bits():
    samples_N = rounded(noise(1_000) * 0.01)
    assert np.abs(samples_N).max() == pytest.approx(10 ** (-1 / 20), abs=1 / 32_767)
    steps = samples_N.astype(np.float64) * 32_767
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-2)
    assert np.array_equal(rounded(noise(1_000) * 0.5), rounded(noise(1_000) * 0.25)), "loudness is gone"


def test_fractions_of_a_step_are_cut_off_towards_zero():
    unit = 10 ** (-1 / 20)
    given = np.array([1.0, 0.7 / (32_767 * unit), -0.7 / (32_767 * unit), -1.7 / (32_767 * unit)])
    np.testing.assert_allclose(rounded(given)[1:] * 32_767, [0, 0, -1], atol=1e-4)


def test_a_frame_is_a_windowed_spectrum_in_mel_bands():
    samples_N, frame = noise(4_000), 3
    mirrored = np.concatenate([samples_N[512:0:-1], samples_N, samples_N[-2:-514:-1]]).astype(np.float64)
    n = np.arange(TRANSFORM)
    windowed = mirrored[frame * HOP : frame * HOP + TRANSFORM] * (0.5 - 0.5 * np.cos(2 * np.pi * n / TRANSFORM))
    power = np.array([abs((windowed * np.exp(-2j * np.pi * k * n / TRANSFORM)).sum()) ** 2 for k in range(513)])
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)  # noqa: E731
    corners = [700 * (10 ** (m / 2595) - 1) for m in np.linspace(mel(50), mel(14_000), 66)]
    expected = []
    for low, centre, high in zip(corners, corners[1:], corners[2:], strict=False):
        total = 0.0
        for k in range(513):
            hertz = k * RATE / TRANSFORM
            total += power[k] * max(0.0, min((hertz - low) / (centre - low), (high - hertz) / (high - centre)))
        expected.append(10 * np.log10(max(total, 1e-10)))
    found_TB = log_mel(samples_N)
    assert found_TB.shape == (4_000 // HOP + 1, 64)
    np.testing.assert_allclose(found_TB[frame], expected, rtol=1e-4, atol=1e-3)


def test_filters_keep_the_band_and_nothing_else():
    triangles_FB = mel_triangles()
    hertz_F = np.fft.rfftfreq(TRANSFORM, 1 / RATE)
    assert not triangles_FB[(hertz_F <= 50) | (hertz_F >= 14_000)].any()
    assert 0 < triangles_FB.max() <= 1


def test_transformers_hears_the_same_of_a_short_recording():
    """Its extractor, told the lowest frequency of LAION's configuration and given the same samples."""
    from transformers import ClapFeatureExtractor

    samples_N = noise(int(4.3 * RATE))
    theirs = ClapFeatureExtractor(frequency_min=50, frequency_max=14_000)
    expected = theirs(rounded(samples_N), sampling_rate=RATE, return_tensors="np")["input_features"][0]
    found = fusion_input(samples_N)
    assert found.shape == expected.shape == (4, FRAMES, 64)
    np.testing.assert_allclose(found, expected, atol=2e-2)


def test_short_ones_are_repeated_as_often_as_they_fit():
    samples_N = noise(4 * RATE)
    once, twice = fusion_input(samples_N), fusion_input(np.concatenate([samples_N, samples_N]))
    assert np.array_equal(once, twice), "4 s fit twice into 10 s"
    assert (once[0, -150:] == -100).all(), "the rest is silence"
    assert all(np.array_equal(once[0], picture) for picture in once[1:])


def test_of_long_ones_the_whole_and_three_stretches_are_heard():
    samples_N = noise(MAX_SAMPLES + 5 * RATE)
    whole_TB = log_mel(rounded(samples_N))
    found = fusion_input(samples_N)
    assert found.shape == (4, FRAMES, 64)
    starts = stretch_starts(len(whole_TB))
    third = (len(whole_TB) - FRAMES + 1) / 3
    assert [int(start // third) for start in starts] == [0, 1, 2]
    for picture, start in zip(found[1:], starts, strict=True):
        assert np.array_equal(picture, whole_TB[start : start + FRAMES])
    assert np.array_equal(fusion_input(samples_N), found), "no dice"


def test_a_recording_longer_by_less_than_a_hop_is_heard_whole():
    found = fusion_input(noise(MAX_SAMPLES + HOP - 1))
    assert all(np.array_equal(found[0], picture) for picture in found[1:])
    assert stretch_starts(FRAMES + 1) == [0, 1, 0], "a part without a start takes the first, as published"


def test_squeezing_is_bilinear_interpolation():
    import torch

    mel_TB = noise(1_500 * 64).reshape(1_500, 64)
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(mel_TB)[None, None], size=(FRAMES, 64), mode="bilinear", align_corners=False
    )[0, 0]
    np.testing.assert_allclose(squeezed(mel_TB), expected.numpy(), atol=1e-3)
