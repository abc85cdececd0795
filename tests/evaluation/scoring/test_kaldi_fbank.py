import math

import numpy as np
import pytest

from nava.evaluation.scoring.kaldi_fbank import clip_spans_s, fbank, imagebind_audio, mel_triangles
from nava.runtime.errors import InputError


def noise(n, seed=0):
    return np.random.default_rng(seed).normal(size=n) * 0.1


def slow_fbank(samples):
    """The definition, frame by frame and bin by bin, without an FFT."""

    def mel(hz):
        return 1127 * math.log(1 + hz / 700)

    width = (mel(8000) - mel(20)) / 129
    dft = np.exp(-2j * np.pi * np.outer(np.arange(256), np.arange(400)) / 512)
    rows = []
    for start in range(0, len(samples) - 399, 160):
        frame = np.array(samples[start : start + 400])
        frame = frame - frame.mean()
        shaped = [frame[i] - 0.97 * frame[max(i - 1, 0)] for i in range(400)]
        shaped = [value * (0.5 - 0.5 * math.cos(2 * math.pi * i / 399)) for i, value in enumerate(shaped)]
        power = np.abs(dft @ shaped) ** 2
        row = []
        for band in range(128):
            centre = mel(20) + (band + 1) * width
            energy = sum(max(0.0, 1 - abs(mel(31.25 * k) - centre) / width) * power[k] for k in range(256))
            row.append(math.log(max(energy, 1.1920928955078125e-07)))
        rows.append(row)
    return np.array(rows)


def test_it_is_the_definition():
    np.testing.assert_allclose(fbank(noise(800)), slow_fbank(noise(800)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("n", "frames"), [(400, 1), (559, 1), (560, 2), (32_000, 198)])
def test_only_whole_frames(n, frames):
    assert fbank(noise(n)).shape == (frames, 128)


def test_a_constant_is_silence_and_silence_is_the_floor():
    np.testing.assert_allclose(fbank(np.full(800, 0.3)), math.log(2**-23))


def test_a_tone_is_in_its_band():
    tone = np.sin(2 * np.pi * 1000 * np.arange(1600) / 16_000)
    band = int(fbank(tone)[3].argmax())
    corner = np.linspace(1127 * math.log(1 + 20 / 700), 1127 * math.log(1 + 8000 / 700), 130)
    assert abs(corner[band + 1] - 1127 * math.log(1 + 1000 / 700)) <= corner[1] - corner[0]


def test_twice_as_loud_is_log_4_more():
    # The lowest filters are narrower than the distance of FFT bins: one of them holds none, and stays at the floor.
    hears = mel_triangles().sum(axis=1) > 0
    assert (~hears).sum() == 1
    louder = fbank(2 * noise(800)) - fbank(noise(800))
    np.testing.assert_allclose(louder[:, hears], math.log(4))
    assert (louder[:, ~hears] == 0).all()


def test_no_filter_hears_the_nyquist_frequency():
    assert (mel_triangles()[:, -1] == 0).all()
    assert mel_triangles().min() == 0


def test_imagebind_pads_before_it_normalises():
    shown = imagebind_audio(noise(32_000))
    assert shown.shape == (1, 128, 204)
    np.testing.assert_allclose(shown[0, :, 198:], 4.268 / 9.138)
    np.testing.assert_allclose(shown[0, :, :198] * 9.138 - 4.268, fbank(noise(32_000) - noise(32_000).mean()).T)


def test_imagebind_cuts_a_longer_clip_and_takes_no_offset():
    np.testing.assert_allclose(imagebind_audio(noise(40_000) + 0.2), imagebind_audio(noise(40_000)))
    assert imagebind_audio(noise(40_000)).shape == (1, 128, 204)


def test_clips_are_spread_over_the_file():
    assert clip_spans_s(10.0) == [(0.0, 2.0), (4.0, 6.0), (8.0, 10.0)]
    assert clip_spans_s(1.5) == [(0.0, 1.5)] * 3
    assert clip_spans_s(5.0, clips=1) == [(0.0, 2.0)]


@pytest.mark.parametrize("samples", [np.zeros(399), np.zeros((1, 800)), np.full(800, np.nan)])
def test_wrong_samples_are_refused(samples):
    with pytest.raises(InputError):
        fbank(samples)


@pytest.mark.parametrize(("duration", "clips"), [(0.0, 3), (5.0, 0)])
def test_clips_of_nothing_are_refused(duration, clips):
    with pytest.raises(InputError):
        clip_spans_s(duration, clips)
