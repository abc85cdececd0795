"""How well a codec reconstructs: PSNR and SSIM of pictures, mel error and envelope correlation of sound."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from nava.latents.length import VIDEO_FPS
from nava.latents.mel import MelAnalysis

PEAK = 255.0
SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
LUMA_RGB = (0.299, 0.587, 0.114)
DB_PER_NEPER = 8.685889638065037


def psnr_db(video_BTHWC: Tensor, reference_BTHWC: Tensor, ceiling_db: float = 100.0) -> Tensor:
    """Peak signal to noise ratio of uint8 clips in dB, [B]; equal clips get ``ceiling_db``."""
    error = (video_BTHWC.float() - reference_BTHWC.float()).square().flatten(1).mean(dim=1)
    return (20 * torch.log10(PEAK / error.sqrt())).clamp_max(ceiling_db)


def ssim(video_BTHWC: Tensor, reference_BTHWC: Tensor) -> Tensor:
    """Structural similarity of luma, mean over frames and positions, [B] (Wang et al., 2004; Gaussian window 11)."""
    offset_S = torch.arange(SSIM_WINDOW) - SSIM_WINDOW // 2
    line_S = torch.exp(-(offset_S**2) / (2 * SSIM_SIGMA**2))
    line_S = line_S / line_S.sum()
    first, second = _luma(video_BTHWC), _luma(reference_BTHWC)
    moments = torch.cat([first, second, first * first, second * second, first * second])
    smoothed = conv2d(conv2d(moments, line_S[None, None, :, None]), line_S[None, None, None])
    mean_1, mean_2, square_1, square_2, product = smoothed.chunk(5)
    c1, c2 = (0.01 * PEAK) ** 2, (0.03 * PEAK) ** 2
    luminance = (2 * mean_1 * mean_2 + c1) / (mean_1**2 + mean_2**2 + c1)
    variances = square_1 - mean_1**2 + square_2 - mean_2**2
    structure = (2 * (product - mean_1 * mean_2) + c2) / (variances + c2)
    return (luminance * structure).unflatten(0, video_BTHWC.shape[:2]).flatten(1).mean(dim=1)


def mel_error_db(samples_BN: Tensor, reference_BN: Tensor, floor: float, analysis: MelAnalysis | None = None) -> Tensor:
    """Mean absolute difference of floored mel amplitudes in dB, [B]."""
    analysis = analysis or MelAnalysis()
    first, second = (analysis.mel(samples).clamp_min(floor).log() for samples in (samples_BN, reference_BN))
    return DB_PER_NEPER * (first - second).abs().flatten(1).mean(dim=1)


def envelope(samples_BN: Tensor, sample_rate_hz: int, frames_per_s: int = VIDEO_FPS) -> Tensor:
    """Square root of the RMS amplitude of every video frame, [B, T]."""
    samples = samples_BN.shape[1]
    frames = samples * frames_per_s // sample_rate_hz
    edges = torch.arange(frames + 1) * sample_rate_hz // frames_per_s
    energy_BN = torch.cat([samples_BN.new_zeros(len(samples_BN), 1), samples_BN.square()], dim=1).double().cumsum(dim=1)
    power_BT = (energy_BN[:, edges[1:]] - energy_BN[:, edges[:-1]]) / edges.diff()
    return power_BT.clamp_min(0).pow(0.25).float()


def envelope_correlation(samples_BN: Tensor, reference_BN: Tensor, sample_rate_hz: int) -> Tensor:
    """Pearson correlation of the two envelopes, [B]; NaN where one of them never changes (silence)."""
    first, second = (envelope(samples, sample_rate_hz) for samples in (samples_BN, reference_BN))
    first = first - first.mean(dim=1, keepdim=True)
    second = second - second.mean(dim=1, keepdim=True)
    norm = first.norm(dim=1) * second.norm(dim=1)
    return torch.where(norm > 0, (first * second).sum(dim=1) / norm, torch.nan)


def _luma(video_BTHWC: Tensor) -> Tensor:
    return (video_BTHWC.flatten(0, 1).float() @ torch.tensor(LUMA_RGB))[:, None]
