"""The embedded timbre encoder: spectral shape and pitch of a voice, without weights.

It is no speaker recogniser: it tells voices of different pitch and colour apart, so that timbre conditioning can be
built, trained and tested where the released encoder's weights are not at hand.
"""

import math
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from nava.conditioning.description import CONFIG_FILE
from nava.conditioning.reference_voice import SAMPLE_RATE_HZ, reference_samples
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import write_json

WIDTH = 192

HOP, WINDOW, TRANSFORM = 160, 400, 512
MEL_BANDS, MEL_LOW_HZ, MEL_HIGH_HZ = 40, 60.0, 7600.0
CEPSTRA = 20
# Frames this far below the loudest are pauses; power ratio of 40 dB.
PAUSE_RATIO = 1e-4
FLOOR_RATIO = 1e-7

PITCH_WINDOW, PITCH_TRANSFORM = 800, 2048
PITCH_LOW_HZ, PITCH_HIGH_HZ = 60.0, 500.0
VOICED_CORRELATION = 0.5
# The shortest lag whose correlation is this near the best one: longer ones are multiples of the period.
PERIOD_RATIO = 0.9
PITCH_BINS, PITCH_SPREAD_OCTAVES = 36, 0.1

# Speech falls with frequency, which gives every voice a first cepstrum of about 10, and cepstra deviate by about
# 8 / sqrt(k). Without these common parts the cosine of two vectors says how alike the voices are.
COMMON_TILT, COMMON_DEVIATION = 10.0, 8.0
SHAPE_WEIGHT, DEVIATION_WEIGHT = 0.05, 0.3
PROJECTION_SEED = 20_260_301


class MelStatisticsEncoder:
    """A unit vector of 192 values per voice; two voices are compared by the cosine of their vectors.

    Mean and deviation of 20 mel cepstra and a histogram of pitch over the frames with speech, in fixed proportions, put
    through a fixed matrix with orthonormal columns, which keeps the cosines. Loudness does not count.
    """

    type_name = "mel_statistics"
    width = WIDTH
    sample_rate_hz = SAMPLE_RATE_HZ

    @property
    def identity(self) -> str:
        """sha256 of type and version; everything else is fixed."""
        return sha256_json(self._config())

    def encode(self, samples_N: Tensor) -> Tensor:
        """Float32 [192] from samples at 16 kHz, of which the first 30 s count.

        Raises:
            InputError: shorter than 1 s, silent, not finite, or of another shape.
        """
        mono_N = reference_samples(samples_N).cpu().double()
        feature_F = torch.cat([*_cepstral_statistics(mono_N), _pitch_histogram(mono_N)])
        projected_E = _projection(len(feature_F)) @ feature_F
        return (projected_E / projected_E.norm()).float()

    def save(self, directory: Path) -> None:
        """Write ``config.json``."""
        write_json(directory / CONFIG_FILE, self._config() | {"identity": self.identity})

    def to(self, device: str | torch.device) -> Self:
        """Nothing to move: it computes on the CPU."""
        return self

    def _config(self) -> dict[str, Any]:
        return {"type": self.type_name, "format_version": 1}


def _cepstral_statistics(mono_N: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean [K] and log deviation [K] of the mel cepstra, the zeroth left out."""
    spectrum_FT = torch.stft(
        mono_N, TRANSFORM, HOP, WINDOW, torch.hann_window(WINDOW, dtype=mono_N.dtype), return_complex=True
    )
    mel_TM = (_mel_filters() @ spectrum_FT.abs().square()).T
    level_T = mel_TM.sum(dim=1)
    loudest = level_T.max()
    speech_TM = mel_TM[level_T > PAUSE_RATIO * loudest]
    order_K = torch.arange(1, CEPSTRA + 1, dtype=mono_N.dtype)
    band_M = (torch.arange(MEL_BANDS, dtype=mono_N.dtype) + 0.5) / MEL_BANDS
    cosine_KM = torch.cos(math.pi * order_K[:, None] * band_M) * math.sqrt(2.0 / MEL_BANDS)
    cepstrum_TK = (speech_TM + FLOOR_RATIO * loudest).log() @ cosine_KM.T
    mean_K = cepstrum_TK.mean(dim=0)
    mean_K[0] -= COMMON_TILT
    deviation_K = cepstrum_TK.std(dim=0, correction=0).clamp_min(1e-3)
    relative_K = (deviation_K / (COMMON_DEVIATION / order_K.sqrt())).log()
    return SHAPE_WEIGHT * mean_K, DEVIATION_WEIGHT * relative_K


def _pitch_histogram(mono_N: Tensor) -> Tensor:
    """Square roots of how often the voice has each pitch [36], 60 to 500 Hz; zeros for a voice without pitch."""
    pitch_V = _pitches(mono_N)
    low, high = math.log2(PITCH_LOW_HZ), math.log2(PITCH_HIGH_HZ)
    centre_P = low + (torch.arange(PITCH_BINS, dtype=mono_N.dtype) + 0.5) * (high - low) / PITCH_BINS
    count_P = (-0.5 * ((pitch_V.log2()[:, None] - centre_P) / PITCH_SPREAD_OCTAVES).square()).exp().sum(dim=0)
    return (count_P / count_P.sum().clamp_min(1e-9)).sqrt()


def _pitches(mono_N: Tensor) -> Tensor:
    """The pitch of each voiced frame in Hz, from the autocorrelation freed of the window's own."""
    window_W = torch.hann_window(PITCH_WINDOW, dtype=mono_N.dtype)
    frame_TW = mono_N.unfold(0, PITCH_WINDOW, HOP)
    frame_TW = (frame_TW - frame_TW.mean(dim=1, keepdim=True)) * window_W
    correlation_TL, own_L = _autocorrelation(frame_TW), _autocorrelation(window_W)
    power_T = correlation_TL[:, 0]
    shortest, longest = int(SAMPLE_RATE_HZ / PITCH_HIGH_HZ), int(SAMPLE_RATE_HZ / PITCH_LOW_HZ)
    relative_TL = correlation_TL / power_T.clamp_min(1e-12)[:, None] / (own_L / own_L[0])
    relative_TL = relative_TL[:, shortest - 1 : longest + 2]
    best_T = relative_TL[:, 1:-1].amax(dim=1)
    inner_TL = relative_TL[:, 1:-1]
    is_peak_TL = (inner_TL >= relative_TL[:, :-2]) & (inner_TL >= relative_TL[:, 2:])
    is_period_TL = is_peak_TL & (inner_TL >= PERIOD_RATIO * best_T[:, None])
    voiced_T = is_period_TL.any(dim=1) & (best_T > VOICED_CORRELATION) & (power_T > PAUSE_RATIO * power_T.max())
    return SAMPLE_RATE_HZ / (is_period_TL[voiced_T].to(mono_N.dtype).argmax(dim=1) + shortest)


def _autocorrelation(frame_TW: Tensor) -> Tensor:
    power = torch.fft.rfft(frame_TW, PITCH_TRANSFORM).abs().square()
    return torch.fft.irfft(power)[..., :PITCH_WINDOW]


@lru_cache(maxsize=1)
def _mel_filters() -> Tensor:
    """Triangular filters [M, F], evenly spaced on the mel scale of 2595 log10(1 + f / 700)."""
    low, high = (2595 * math.log10(1 + hz / 700) for hz in (MEL_LOW_HZ, MEL_HIGH_HZ))
    edge_M = 700 * (10 ** (torch.linspace(low, high, MEL_BANDS + 2, dtype=torch.float64) / 2595) - 1)
    frequency_F = torch.linspace(0, SAMPLE_RATE_HZ / 2, TRANSFORM // 2 + 1, dtype=torch.float64)
    lower_M1, centre_M1, upper_M1 = edge_M[:-2, None], edge_M[1:-1, None], edge_M[2:, None]
    rising = (frequency_F - lower_M1) / (centre_M1 - lower_M1)
    falling = (upper_M1 - frequency_F) / (upper_M1 - centre_M1)
    return torch.minimum(rising, falling).clamp_min(0)


@lru_cache(maxsize=1)
def _projection(features: int) -> Tensor:
    """A fixed matrix [192, F] with orthonormal columns."""
    generator = torch.Generator().manual_seed(PROJECTION_SEED)
    orthonormal, triangular = torch.linalg.qr(torch.randn(WIDTH, features, generator=generator, dtype=torch.float64))
    return orthonormal * triangular.diagonal().sign()
