"""Mistakes in what networks hear."""

import numpy as np
from scipy.fft import dct

from nava.evaluation.scoring import kaldi_fbank, mfcc
from tests.evaluation.scoring.trial import Trial, close

NOISE = np.round(np.random.default_rng(0).normal(size=800) * 3000)


def mfcc_cases(compute):
    # Worked out by the definition with loops in test_mfcc.py; here the parts are put together from the tested ones.
    power = mfcc.frame_power(NOISE, 16_000)
    bands = np.log(power @ mfcc.mel_triangles(16_000).T)
    expected = dct(bands, axis=1, norm="ortho")[:, :13] * (1 + 11 * np.sin(np.pi * np.arange(13) / 22))
    expected[:, 0] = np.log(power.sum(axis=1))
    close(compute(NOISE), expected, 1e-9)


def mfcc_without_energy(samples):
    found = mfcc.mfcc(samples)
    bands = np.log(mfcc.frame_power(samples, 16_000) @ mfcc.mel_triangles(16_000).T)
    found[:, 0] = dct(bands, axis=1, norm="ortho")[:, 0]
    return found


def fbank_cases(compute):
    close(compute(NOISE + 4000.0).shape, (3, 128))
    close(compute(NOISE + 4000.0), kaldi_fbank.fbank(NOISE), 1e-6)


def fbank_with_offset(samples):
    frames = np.lib.stride_tricks.sliding_window_view(samples, 400)[::160]
    before = np.concatenate([frames[:, :1], frames[:, :-1]], axis=1)
    power = np.abs(np.fft.rfft((frames - 0.97 * before) * np.hanning(400), 512)) ** 2
    return np.log(np.maximum(power @ kaldi_fbank.mel_triangles().T, 2**-23))


TRIALS = {
    "mfcc": Trial(
        mfcc_cases,
        mfcc.mfcc,
        {
            "first coefficient kept": mfcc_without_energy,
            "no pre-emphasis": lambda s: mfcc.mfcc(np.round(np.cumsum(s) / 100)),
            "no lifter": lambda s: mfcc.mfcc(s) / (1 + 11 * np.sin(np.pi * np.arange(13) / 22)),
            "whole frames only": lambda s: mfcc.mfcc(s)[:-1],
        },
    ),
    "fbank": Trial(fbank_cases, kaldi_fbank.fbank, {"frame's mean kept": fbank_with_offset}),
}
