from functools import partial

import numpy as np
import pytest

from nava.evaluation.scoring.sound_quality import clipping_share, integrated_loudness, silence_share
from nava.runtime.errors import InputError

RATE = 16_000


def sine(seconds=2.0, hz=1000.0, level=1.0):
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)


def test_a_full_scale_sine_of_1_khz_has_minus_3_lufs():
    # BS.1770: a 997 Hz sine at 0 dBFS in one front channel reads -3.01 LKFS.
    assert integrated_loudness(sine(hz=997.0), RATE).value == pytest.approx(-3.01, abs=0.1)


def test_ten_times_quieter_is_20_lu_less_and_silence_around_it_is_gated():
    loud, quiet = (integrated_loudness(sine(level=level), RATE).value for level in (0.5, 0.05))
    assert loud - quiet == pytest.approx(20, abs=1e-6)
    padded = np.concatenate([np.zeros(4 * RATE), sine(4.0, level=0.5), np.zeros(4 * RATE)])
    # Without the gates, 4 s of 12 would read 4.8 LU less.
    assert integrated_loudness(padded, RATE).value == pytest.approx(loud, abs=0.7)


@pytest.mark.parametrize(
    ("samples", "reason"),
    [(np.zeros(RATE), "silent"), (sine(0.3), "0.4 s"), (sine(level=1e-5), "gate")],
)
def test_no_loudness_is_a_reason(samples, reason):
    score = integrated_loudness(samples, RATE)
    assert score.value is None
    assert reason in score.reason


def test_clipping_share_counts_both_signs():
    assert clipping_share(np.array([1.0, -1.0, 0.985, 0.98, 0.0, -0.99, 0.2, 0.0])).value == 0.5
    # A sine cut at .5 of its height is there for the time between asin(.5) and its mirror: two thirds.
    assert clipping_share(np.clip(2 * sine(hz=37.0), -1, 1), level=1.0).value == pytest.approx(2 / 3, abs=0.005)


def test_silence_share_is_of_blocks_below_the_level():
    half = np.concatenate([sine(1.0), np.zeros(RATE)])
    assert silence_share(half, RATE).value == 0.5
    assert silence_share(sine(level=10 ** (-51.9 / 20)), RATE).value == 0.0  # the RMS of a sine is 3 dB lower
    assert silence_share(sine(level=10 ** (-52.1 / 20)), RATE).value == 1.0
    assert "320" in silence_share(np.zeros(319), RATE).reason


def test_wrong_samples_are_refused():
    at_rate = [partial(score, sample_rate_hz=RATE) for score in (silence_share, integrated_loudness)]
    for score in (clipping_share, *at_rate):
        with pytest.raises(InputError, match="int16"):
            score(np.zeros(RATE, dtype=np.int16))
        with pytest.raises(InputError, match="shape"):
            score(np.zeros((2, RATE)))
    with pytest.raises(InputError, match="rate"):
        silence_share(np.zeros(100), 10)
