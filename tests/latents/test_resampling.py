"""Resampling against sines of known frequency, and against the filter that the vocoder of LTX-2.3 carries."""

import math

import pytest
import torch
from torch import Tensor

from nava.latents.resampling import is_convertible, resample


def sine(frequency_hz: float, rate_hz: int, seconds: float = 0.5) -> Tensor:
    return torch.sin(2 * math.pi * frequency_hz * torch.arange(int(rate_hz * seconds)) / rate_hz)


@pytest.mark.parametrize(("from_hz", "to_hz"), [(48_000, 16_000), (44_100, 16_000), (16_000, 48_000), (22_050, 16_000)])
def test_a_sine_stays_one(from_hz: int, to_hz: int) -> None:
    output = resample(sine(1000.0, from_hz), from_hz, to_hz)
    wanted = sine(1000.0, to_hz)
    assert output.shape == wanted.shape
    inner = slice(200, -200)
    assert (output[inner] - wanted[inner]).abs().max() < 2e-3


def test_what_the_new_rate_cannot_hold_is_removed() -> None:
    output = resample(sine(12_000.0, 48_000), 48_000, 16_000)
    assert output[200:-200].abs().max() < 3e-3


def test_lengths_are_rounded_up() -> None:
    assert resample(torch.zeros(1), 48_000, 16_000).shape == (1,)
    assert resample(torch.zeros(2, 3, 100), 48_000, 16_000).shape == (2, 3, 34)
    assert resample(torch.zeros(441), 44_100, 16_000).shape == (160,)


def test_the_same_rate_is_left_alone() -> None:
    samples = torch.randn(3, 50)
    assert resample(samples, 16_000, 16_000) is samples


def test_channels_are_independent() -> None:
    samples = torch.randn(2, 2, 4800, generator=torch.Generator().manual_seed(0))
    together = resample(samples, 48_000, 16_000)
    assert torch.allclose(together[1, 0], resample(samples[1, 0], 48_000, 16_000), atol=1e-6)


def test_it_is_the_filter_of_the_published_vocoder() -> None:
    """diffusers builds the upsampling filter of LTX-2.3 on its own; only the padding at the ends differs."""
    from diffusers.pipelines.ltx2.vocoder import UpSample1d

    samples = torch.randn(1, 1, 400, generator=torch.Generator().manual_seed(0))
    published = UpSample1d(ratio=3, window_type="hann")(samples)
    inner = slice(60, -60)
    assert torch.allclose(resample(samples, 16_000, 48_000)[..., inner], published[..., inner], atol=1e-5)


def test_odd_rates_are_refused_before_memory_is_gone() -> None:
    assert is_convertible(44_100, 48_000)
    assert is_convertible(11_025, 16_000)
    assert not is_convertible(44_101, 16_000)
    with pytest.raises(ValueError, match="no usable common divisor"):
        resample(torch.zeros(10), 44_101, 16_000)
