"""Log-mel analysis and its inversion: slaney mel filters, NNLS to magnitudes, fast Griffin-Lim to samples.

The analysis is that of the LTX-2 audio VAE (16 kHz, window 1024, hop 160, 64 bins, magnitudes), so that embedded and
released audio latents describe the same thing at the same rate.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

# Slaney's mel scale: linear below 1 kHz (200/3 Hz per mel), 27 logarithmic steps per factor 6.4 above.
LINEAR_HZ_PER_MEL = 200.0 / 3.0
BREAK_HZ = 1000.0
LOG_STEP = math.log(6.4) / 27.0
BREAK_MEL = BREAK_HZ / LINEAR_HZ_PER_MEL
NNLS_FLOOR = 1e-10


@dataclass(frozen=True)
class MelAnalysis:
    """Geometry of the mel analysis."""

    sample_rate_hz: int = 16_000
    window_samples: int = 1024
    hop_samples: int = 160
    mel_bins: int = 64

    def magnitudes(self, samples_BN: Tensor) -> Tensor:
        """STFT magnitudes [B, N / hop, window / 2 + 1] of samples whose number is a multiple of the hop."""
        # A centred transform has one frame more than the signal has hops.
        return self._spectrum(samples_BN)[..., :-1].abs().transpose(1, 2)

    def mel(self, samples_BN: Tensor) -> Tensor:
        """Mel amplitudes [B, N / hop, mel_bins]."""
        return self.magnitudes(samples_BN) @ mel_filters(self).T

    def centred_mel(self, samples_BN: Tensor) -> Tensor:
        """Mel amplitudes [B, N // hop + 1, mel_bins] of samples on any device, the last frame centred on the end."""
        return self._spectrum(samples_BN).abs().transpose(1, 2) @ mel_filters(self).T.to(samples_BN.device)

    def _spectrum(self, samples_BN: Tensor) -> Tensor:
        """Centred STFT [B, window / 2 + 1, N // hop + 1]."""
        return torch.stft(
            samples_BN,
            self.window_samples,
            self.hop_samples,
            window=torch.hann_window(self.window_samples, device=samples_BN.device),
            center=True,
            pad_mode="reflect",
            return_complex=True,
        )


@lru_cache(maxsize=8)
def mel_filters(analysis: MelAnalysis) -> Tensor:
    """Area-normalised triangular filters on the slaney scale, 0 Hz to Nyquist: [mel_bins, window / 2 + 1]."""
    nyquist_hz = analysis.sample_rate_hz / 2
    frequency_F = torch.linspace(0, nyquist_hz, analysis.window_samples // 2 + 1, dtype=torch.float64)
    edge_M = _mel_to_hz(torch.linspace(0, _hz_to_mel(nyquist_hz), analysis.mel_bins + 2, dtype=torch.float64))
    low_M1, centre_M1, high_M1 = edge_M[:-2, None], edge_M[1:-1, None], edge_M[2:, None]
    rising = (frequency_F - low_M1) / (centre_M1 - low_M1)
    falling = (high_M1 - frequency_F) / (high_M1 - centre_M1)
    triangles = torch.minimum(rising, falling).clamp_min(0)
    return (triangles * 2.0 / (high_M1 - low_M1)).float()


def magnitudes_of_mel(mel_RM: Tensor, analysis: MelAnalysis, iterations: int) -> Tensor:
    """Non-negative magnitudes [R, F] whose mel amplitudes are ``mel_RM`` [R, M], least squares.

    Multiplicative updates (Lee and Seung, 2001) from the clipped pseudo-inverse. Silent rows stay zero.
    """
    filters_MF = mel_filters(analysis)
    magnitude_RF = mel_RM.new_zeros(mel_RM.shape[0], filters_MF.shape[1])
    sounding_R = mel_RM.amax(dim=1) > 0
    target_SM = mel_RM[sounding_R]
    if not len(target_SM):
        return magnitude_RF
    # Multiplicative updates can never leave zero, so the start must not be there.
    estimate_SF = (target_SM @ _inverse_filters(analysis).T).clamp_min_(1e-6)
    wanted_SF = target_SM @ filters_MF
    for _ in range(iterations):
        # Two thin products cost a quarter of one with the F x F Gram matrix.
        rebuilt_SF = (estimate_SF @ filters_MF.T) @ filters_MF
        estimate_SF.mul_(wanted_SF / rebuilt_SF.add_(NNLS_FLOOR))
    magnitude_RF[sounding_R] = estimate_SF
    return magnitude_RF


def griffin_lim(magnitude_BTF: Tensor, analysis: MelAnalysis, iterations: int, momentum: float, seed: int) -> Tensor:
    """Samples [B, T * hop] whose STFT magnitudes approach ``magnitude_BTF`` [B, T, F].

    Fast Griffin-Lim (Perraudin, Balazs and Sondergaard, 2013). The start phase depends on ``seed`` and the frame only,
    so a clip decodes the same alone and in a batch.
    """
    frames = magnitude_BTF.shape[1]
    # The analysis dropped the last centred frame; the synthesis needs one there.
    magnitude_BFT = torch.cat([magnitude_BTF, magnitude_BTF[:, -1:]], dim=1).transpose(1, 2).contiguous()
    generator = torch.Generator().manual_seed(seed)
    phase_TF = 2 * math.pi * torch.rand(frames + 1, magnitude_BFT.shape[1], generator=generator)
    angle_BFT = torch.polar(torch.ones_like(phase_TF), phase_TF).T[None].expand_as(magnitude_BFT)
    window = torch.hann_window(analysis.window_samples)
    size, hop, samples = analysis.window_samples, analysis.hop_samples, frames * analysis.hop_samples
    previous_BFT = torch.zeros_like(angle_BFT)
    step = momentum / (1 + momentum)
    for _ in range(iterations):
        signal_BN = torch.istft(magnitude_BFT * angle_BFT, size, hop, window=window, length=samples)
        rebuilt_BFT = torch.stft(signal_BN, size, hop, window=window, pad_mode="reflect", return_complex=True)
        angle_BFT = rebuilt_BFT - step * previous_BFT
        angle_BFT = angle_BFT / angle_BFT.abs().clamp_min_(1e-12)
        previous_BFT = rebuilt_BFT
    return torch.istft(magnitude_BFT * angle_BFT, size, hop, window=window, length=samples)


@lru_cache(maxsize=8)
def _inverse_filters(analysis: MelAnalysis) -> Tensor:
    """Pseudo-inverse of the filters, [window / 2 + 1, mel_bins]."""
    return torch.linalg.pinv(mel_filters(analysis))


def _hz_to_mel(frequency_hz: float) -> float:
    if frequency_hz < BREAK_HZ:
        return frequency_hz / LINEAR_HZ_PER_MEL
    return BREAK_MEL + math.log(frequency_hz / BREAK_HZ) / LOG_STEP


def _mel_to_hz(mel: Tensor) -> Tensor:
    logarithmic = BREAK_HZ * torch.exp(LOG_STEP * (mel - BREAK_MEL))
    return torch.where(mel < BREAK_MEL, mel * LINEAR_HZ_PER_MEL, logarithmic)
