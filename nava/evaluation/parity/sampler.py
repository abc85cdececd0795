"""Noise levels and solver trajectories on a made-up velocity, and the noise levels of training."""

from __future__ import annotations

import re
from collections.abc import Iterator

import torch
from torch import Tensor

from nava.config.diffusion import DiffusionConfig
from nava.diffusion import timestep
from nava.diffusion.loss import add_noise, velocity
from nava.diffusion.solver import Euler, Solver, UniPC
from nava.evaluation.parity.comparison import Pair
from nava.evaluation.parity.golden_set import Case, GoldenSet

INPUTS: tuple[str, ...] = ()

_RUN = re.compile(r"(?P<solver>unipc|euler)\.s(?P<shift>\d+(?:\.\d+)?)\.n(?P<steps>\d+)\.timesteps")
_TRAINING = re.compile(r"train\.s(?P<shift>\d+(?:\.\d+)?)\.timesteps")
_FAKE_VELOCITY = "v(x,t)=tanh(0.7*x+0.3)*(0.5+t/1000)-0.2*sin(3*x)"


def recognise(case: Case) -> bool:
    """Timesteps by solver, shift and number of steps."""
    return any(_RUN.fullmatch(name) or _TRAINING.fullmatch(name) for name in case.tensors)


def compute(case: Case, goldens: GoldenSet) -> Iterator[Pair]:
    """Every solver run and every training schedule of the file."""
    for name in case.tensors:
        if match := _RUN.fullmatch(name):
            yield from _solver_run(case, match["solver"], float(match["shift"]), int(match["steps"]), name)
        elif match := _TRAINING.fullmatch(name):
            yield from _training_schedule(case, float(match["shift"]), name.removesuffix(".timesteps"))


def _solver_run(case: Case, kind: str, shift: float, steps: int, name: str) -> Iterator[Pair]:
    prefix, tensors = name.removesuffix(".timesteps"), case.tensors
    if kind == "unipc":
        sigma_N = timestep.sampling_sigmas(steps, shift)
        timestep_N, golden_sigma_N = timestep.model_timesteps(sigma_N)[:-1], sigma_N
        solver: Solver = UniPC(sigma_N)
    else:
        # The release runs its Euler sampler on the grid it trains on, with times that are not cut to whole numbers.
        schedule = timestep.TrainingSchedule(DiffusionConfig(train_shift=shift, num_train_timesteps=steps))
        timestep_N, golden_sigma_N = schedule.timestep_N, schedule.sigma_N
        solver = Euler(torch.cat([schedule.sigma_N, torch.zeros(1)]))
    yield Pair(name, timestep_N, tensors[name])
    yield Pair(f"{prefix}.sigmas", golden_sigma_N, tensors[f"{prefix}.sigmas"])
    if f"{prefix}.traj" in tensors:
        start = tensors[f"{prefix}.x0"]
        yield Pair(f"{prefix}.x0", start, start)
        trajectory = _trajectory(case, solver, timestep_N, start)
        yield Pair(f"{prefix}.traj", trajectory, tensors[f"{prefix}.traj"])


def _trajectory(case: Case, solver: Solver, timestep_N: Tensor, state: Tensor) -> Tensor:
    stated = str(case.meta.get("fake_velocity", "")).partition(",")
    if not str(case.meta.get("fake_velocity", "")).startswith(_FAKE_VELOCITY):
        raise ValueError(f"the trajectories are of another velocity, {''.join(stated)!r}; known is {_FAKE_VELOCITY!r}")
    states = []
    for t in timestep_N:
        fake = torch.tanh(0.7 * state + 0.3) * (0.5 + t / 1000) - 0.2 * torch.sin(3 * state)
        state = solver.step(fake, state)
        states.append(state)
    return torch.stack(states)


def _training_schedule(case: Case, shift: float, prefix: str) -> Iterator[Pair]:
    golden = {name.removeprefix(f"{prefix}."): t for name, t in case.tensors.items() if name.startswith(f"{prefix}.")}
    config = DiffusionConfig(train_shift=shift, num_train_timesteps=len(golden["timesteps"]))
    schedule = timestep.TrainingSchedule(config)
    answers = {"timesteps": schedule.timestep_N, "sigmas": schedule.sigma_N, "weights": schedule.weight_N}
    if "ids" in golden:
        levels = schedule.at(golden["ids"])
        answers |= {"ids": golden["ids"], "z0": golden["z0"], "noise": golden["noise"], "w": levels.weight}
        answers |= {"noisy": add_noise(golden["z0"], golden["noise"], levels.sigma)}
        answers |= {"target": velocity(golden["z0"], golden["noise"])}
    for name, answer in answers.items():
        yield Pair(f"{prefix}.{name}", answer, golden[name])
