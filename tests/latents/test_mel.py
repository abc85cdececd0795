"""Mel analysis and its inversion against closed forms and against each other."""

import math

import pytest
import torch

from nava.latents.mel import MelAnalysis, griffin_lim, magnitudes_of_mel, mel_filters

ANALYSIS = MelAnalysis()


def tone(frequency_hz: float, samples: int = 16_000) -> torch.Tensor:
    return 0.5 * torch.sin(2 * math.pi * frequency_hz * torch.arange(samples) / 16_000)[None]


def centres_hz() -> torch.Tensor:
    filters = mel_filters(ANALYSIS)
    return (filters @ torch.linspace(0, 8000, 513)) / filters.sum(dim=1)


def test_filters_have_equal_area() -> None:
    """Slaney's filters have area 1 over frequency; sampled at 15.6 Hz this holds to a few per cent."""
    area = mel_filters(ANALYSIS).sum(dim=1) * 8000 / 512
    assert torch.allclose(area, torch.ones(64), atol=0.12)


def test_filters_are_linear_below_one_kilohertz_and_logarithmic_above() -> None:
    centre = centres_hz()
    low = centre[centre < 900].diff()
    assert low.std() < 0.1 * low.mean()
    high = centre[centre > 1500]
    ratio = high[1:-1] / high[:-2]
    assert ratio.std() < 0.02


@pytest.mark.parametrize("frequency_hz", [300.0, 720.0, 1700.0, 5000.0])
def test_a_tone_excites_the_filter_at_its_frequency(frequency_hz: float) -> None:
    strongest = ANALYSIS.mel(tone(frequency_hz))[0, 50].argmax()
    assert centres_hz()[strongest] == pytest.approx(frequency_hz, rel=0.06, abs=25)


def test_one_frame_per_hop() -> None:
    assert ANALYSIS.mel(tone(300, 33_280)).shape == (1, 208, 64)


def test_magnitudes_have_the_wanted_mel() -> None:
    mel = ANALYSIS.mel(torch.cat([tone(300), tone(1700)])).flatten(0, 1)
    magnitudes = magnitudes_of_mel(mel, ANALYSIS, iterations=60)
    assert (magnitudes >= 0).all()
    rebuilt = magnitudes @ mel_filters(ANALYSIS).T
    assert (rebuilt - mel).norm() / mel.norm() < 0.05


def test_silent_frames_have_no_magnitude() -> None:
    mel = ANALYSIS.mel(tone(300))[0]
    mel[:50] = 0
    magnitudes = magnitudes_of_mel(mel, ANALYSIS, iterations=10)
    assert (magnitudes[:50] == 0).all()
    assert (magnitudes[50:].sum(dim=1) > 0).all()
    assert (magnitudes_of_mel(torch.zeros(3, 64), ANALYSIS, iterations=10) == 0).all()


def test_griffin_lim_approaches_the_magnitudes_with_more_iterations() -> None:
    wanted = ANALYSIS.magnitudes(tone(720) * torch.linspace(1, 0, 16_000))
    errors = []
    for iterations in (0, 4, 16):
        samples = griffin_lim(wanted, ANALYSIS, iterations, momentum=0.99, seed=0)
        assert samples.shape == (1, 16_000)
        errors.append(((ANALYSIS.magnitudes(samples) - wanted).norm() / wanted.norm()).item())
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 0.2


def test_start_phase_follows_the_seed() -> None:
    wanted = ANALYSIS.magnitudes(tone(720, 1600))
    first, again, other = (griffin_lim(wanted, ANALYSIS, 2, 0.99, seed) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_the_centred_spectrogram_has_one_frame_more() -> None:
    """The frame on the end of the last hop; on the others both agree."""
    analysis = MelAnalysis()
    samples = torch.randn(2, 3200, generator=torch.Generator().manual_seed(0))
    centred = analysis.centred_mel(samples)
    assert centred.shape == (2, 21, 64)
    assert torch.allclose(centred[:, :-1], analysis.mel(samples), atol=1e-5)
    assert analysis.centred_mel(samples[:, :-1]).shape == (2, 20, 64)
