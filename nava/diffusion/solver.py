"""Solvers of the sampling equation dx/dsigma = velocity, stepping one tensor from noise to data."""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor


class Solver(Protocol):
    """Takes the state and the model's velocity at each noise level in turn."""

    def step(self, velocity: Tensor, state: Tensor) -> Tensor:
        """The state at the next noise level."""
        ...


class Euler:
    """First order: one straight step."""

    def __init__(self, sigma_N: Tensor) -> None:
        self._sigmas: list[float] = sigma_N.double().tolist()
        self._index = 0

    def step(self, velocity: Tensor, state: Tensor) -> Tensor:
        """The state at the next noise level."""
        i = self._index
        _check_steps_left(i, self._sigmas)
        self._index += 1
        return state + (self._sigmas[i + 1] - self._sigmas[i]) * velocity


class UniPC:
    """Unified predictor-corrector of order 2 with B(h) = expm1(h) on data predictions (Zhao et al. 2023).

    Orders fall to 1 in the last step, whose noise level is 0. Each step first corrects the state with the new
    velocity, keeping the data prediction of the uncorrected state, then predicts the next one. The arithmetic is the
    released sampler's; it is elementwise, so one call may carry both modalities.
    """

    def __init__(self, sigma_N: Tensor) -> None:
        self._sigmas = sigma_N.double().tolist()
        self._lambdas = [_log_snr(sigma) for sigma in self._sigmas]
        self._index = 0
        self._data: list[Tensor] = []
        self._previous_state: Tensor | None = None
        self._previous_order = 0

    def step(self, velocity: Tensor, state: Tensor) -> Tensor:
        """The state at the next noise level."""
        i, last = self._index, len(self._sigmas) - 1
        _check_steps_left(i, self._sigmas)
        data = state - self._sigmas[i] * velocity
        if self._previous_state is not None:
            state = self._correct(data, self._previous_state)
        self._data = [*self._data[-1:], data]
        order = min(2, i + 1, last - i)
        self._previous_state, self._previous_order = state, order
        self._index += 1
        return self._predict(state, order)

    def _predict(self, state: Tensor, order: int) -> Tensor:
        i, data = self._index - 1, self._data[-1]
        h = self._lambdas[i + 1] - self._lambdas[i]
        phi = math.expm1(-h)
        alpha = 1 - self._sigmas[i + 1]
        out = (self._sigmas[i + 1] / self._sigmas[i]) * state - alpha * phi * data
        if order == 2:
            r = (self._lambdas[i - 1] - self._lambdas[i]) / h
            out = out - alpha * phi * 0.5 * ((self._data[-2] - data) / r)
        return out

    def _correct(self, data: Tensor, start: Tensor) -> Tensor:
        """Redo the previous step from `start`, now that the data prediction at its end is known."""
        i, previous = self._index, self._data[-1]
        h = self._lambdas[i] - self._lambdas[i - 1]
        phi = math.expm1(-h)
        alpha = 1 - self._sigmas[i]
        out = (self._sigmas[i] / self._sigmas[i - 1]) * start - alpha * phi * previous
        if self._previous_order == 1:
            return out - alpha * phi * 0.5 * (data - previous)
        r = (self._lambdas[i - 2] - self._lambdas[i - 1]) / h
        b1 = (phi / -h - 1) / phi
        b2 = 2 * ((phi / -h - 1) / -h - 0.5) / phi
        rho1 = (b2 - b1) / (r - 1)
        rho2 = b1 - rho1
        return out - alpha * phi * (rho1 * ((self._data[-2] - previous) / r) + rho2 * (data - previous))


SOLVERS: dict[str, type[Euler] | type[UniPC]] = {"unipc": UniPC, "euler": Euler}


def build_solver(name: str, sigma_N: Tensor) -> Solver:
    """The solver of that name over noise levels [steps + 1]."""
    if name not in SOLVERS:
        raise ValueError(f"unknown solver {name!r}; there are {', '.join(sorted(SOLVERS))}")
    return SOLVERS[name](torch.as_tensor(sigma_N))


def _check_steps_left(index: int, sigmas: list[float]) -> None:
    if index >= len(sigmas) - 1:
        raise ValueError(f"the solver has already made its {len(sigmas) - 1} steps")


def _log_snr(sigma: float) -> float:
    return math.inf if sigma == 0 else math.log((1 - sigma) / sigma)
