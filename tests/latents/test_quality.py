"""The measures against cases whose value is known."""

import math

import pytest
import torch

from nava.latents.quality import envelope, envelope_correlation, mel_error_db, psnr_db, ssim


def clip(value: int = 100) -> torch.Tensor:
    return torch.full((1, 5, 16, 16, 3), value, dtype=torch.uint8)


def noise_clip(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (1, 5, 16, 16, 3), generator=generator, dtype=torch.uint8)


def bursts(period_s: float, samples: int = 32_000) -> torch.Tensor:
    time_s = torch.arange(samples) / 16_000
    return (torch.exp(-9 * (time_s % period_s)) * torch.sin(2 * math.pi * 720 * time_s))[None]


def test_psnr_of_a_constant_error() -> None:
    assert psnr_db(clip(110), clip(100)).item() == pytest.approx(20 * math.log10(255 / 10), rel=1e-5)


def test_psnr_of_equal_clips_is_finite() -> None:
    assert psnr_db(clip(), clip()).item() == 100.0


def test_psnr_is_per_clip() -> None:
    video = torch.cat([clip(100), clip(120)])
    values = psnr_db(video, torch.cat([clip(101), clip(100)]))
    assert values[0] > values[1]


def test_ssim_of_equal_clips_is_one_and_of_unrelated_ones_near_zero() -> None:
    first, second = noise_clip(0), noise_clip(1)
    assert ssim(first, first).item() == pytest.approx(1.0, abs=1e-5)
    assert abs(ssim(first, second).item()) < 0.1


def test_ssim_of_a_brightness_shift_follows_the_luminance_term() -> None:
    expected = (2 * 100 * 150 + 6.5025) / (100**2 + 150**2 + 6.5025)
    assert ssim(clip(100), clip(150)).item() == pytest.approx(expected, rel=1e-3)


def test_mel_error_of_a_gain_is_the_gain() -> None:
    sound = bursts(0.4)
    assert mel_error_db(sound, sound, floor=1e-8).item() == 0
    assert mel_error_db(0.5 * sound, sound, floor=1e-8).item() == pytest.approx(6.02, abs=0.05)


def test_mel_error_ignores_what_lies_below_the_floor() -> None:
    silence = torch.zeros(1, 16_000)
    hiss = 1e-5 * torch.randn(1, 16_000, generator=torch.Generator().manual_seed(0))
    assert mel_error_db(hiss, silence, floor=3e-3).item() == 0


def test_envelope_has_one_value_per_frame() -> None:
    values = envelope(torch.full((1, 33_280), 0.25), 16_000)
    assert values.shape == (1, 49)
    assert torch.allclose(values, torch.tensor(0.5))


def test_envelope_correlation() -> None:
    sound = bursts(0.4)
    assert envelope_correlation(sound, 0.3 * sound, 16_000).item() == pytest.approx(1.0, abs=1e-4)
    assert envelope_correlation(sound, bursts(0.53), 16_000).item() < 0.6


def test_envelope_correlation_with_silence_is_not_a_number() -> None:
    assert envelope_correlation(bursts(0.4), torch.zeros(1, 32_000), 16_000).isnan().all()
