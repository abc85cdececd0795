"""Noise levels: the shifted grids of training and of sampling.

sigma in [0, 1] is the share of noise, x = (1 - sigma) data + sigma noise; the model sees the time 1000 sigma.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nava.config.diffusion import DiffusionConfig

# The release's training grid ends at this unshifted noise level.
_SIGMA_MIN = 0.003 / 1.002
# Unshifted noise level at which the release's sampler starts.
_SIGMA_START = 0.999


def shift_sigma(sigma: Tensor, shift: float) -> Tensor:
    """Push noise levels towards 1 (shift > 1); 0 and 1 stay."""
    return shift * sigma / (1 + (shift - 1) * sigma)


@dataclass(frozen=True)
class NoiseLevels:
    """One draw per sample, shared by both modalities: noise level, model time in [0, 1000] and loss weight."""

    sigma: Tensor
    timestep: Tensor
    weight: Tensor


class TrainingSchedule:
    """The discrete times that training draws from, each with its loss weight (mean 1 over the grid)."""

    def __init__(self, config: DiffusionConfig) -> None:
        steps = config.num_train_timesteps
        linear_N = torch.linspace(1.0, _SIGMA_MIN, steps + 1)[:-1]
        self.sigma_N = shift_sigma(linear_N, config.train_shift)
        self.timestep_N = self.sigma_N * 1000
        self.weight_N = torch.ones(steps)
        if config.gaussian_time_weight:
            bell_N = torch.exp(-2 * ((self.timestep_N - 500) / 1000) ** 2)
            bell_N = bell_N - bell_N.min()
            self.weight_N = bell_N * (steps / bell_N.sum())

    def sample(self, batch: int, generator: torch.Generator) -> NoiseLevels:
        """Draw `batch` times uniformly from the grid."""
        return self.at(torch.randint(len(self.sigma_N), (batch,), generator=generator))

    def at(self, index_B: Tensor) -> NoiseLevels:
        """The noise levels at grid positions; 0 is pure noise."""
        return NoiseLevels(self.sigma_N[index_B], self.timestep_N[index_B], self.weight_N[index_B])


def sampling_sigmas(steps: int, shift: float) -> Tensor:
    """Noise levels of a sampler, [steps + 1] float32 from almost 1 to 0, shifted as in the released scheduler."""
    if steps < 1:
        raise ValueError(f"sampling needs at least one step, got {steps}")
    start = shift_sigma(torch.tensor(_SIGMA_START, dtype=torch.float64), shift).item()
    linear = torch.linspace(start, 0.0, steps + 1, dtype=torch.float64)
    return shift_sigma(linear, shift).float()


def model_timesteps(sigma_N: Tensor) -> Tensor:
    """Times given to the model when sampling: 1000 sigma cut to whole numbers, as the release does."""
    return (sigma_N * 1000).long().float()
