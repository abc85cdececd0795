"""Noise levels, solvers and guidance against the released code's own numbers (nava-dit goldens)."""

from pathlib import Path

import pytest
import torch

from nava.config.diffusion import DiffusionConfig
from nava.diffusion.guidance import ClassifierFreeGuider, FactorizedGuider, Pass
from nava.diffusion.loss import add_noise, velocity
from nava.diffusion.solver import UniPC
from nava.diffusion.timestep import TrainingSchedule, model_timesteps, sampling_sigmas

safetensors = pytest.importorskip("safetensors.torch")

GOLDENS = Path(__file__).parents[3] / "shared" / "goldens" / "nava-dit"
pytestmark = pytest.mark.skipif(not GOLDENS.is_dir(), reason="the released model's golden files are not here")


@pytest.fixture(scope="module")
def samplers():
    return safetensors.load_file(GOLDENS / "i_samplers.safetensors")


@pytest.mark.parametrize("steps", [6, 25, 50])
@pytest.mark.parametrize("shift", [1, 3, 5])
def test_noise_levels(samplers, shift, steps):
    sigma_N = sampling_sigmas(steps, shift)
    torch.testing.assert_close(sigma_N, samplers[f"unipc.s{shift}.n{steps}.sigmas"], rtol=0, atol=1e-7)
    assert model_timesteps(sigma_N)[:-1].long().tolist() == samplers[f"unipc.s{shift}.n{steps}.timesteps"].tolist()


@pytest.mark.parametrize("steps", [6, 25])
@pytest.mark.parametrize("shift", [1, 3, 5])
def test_unipc_trajectory(samplers, shift, steps):
    name = f"unipc.s{shift}.n{steps}"
    sigma_N = sampling_sigmas(steps, shift)
    solver, x = UniPC(sigma_N), samplers[f"{name}.x0"]
    for t, expected in zip(model_timesteps(sigma_N), samplers[f"{name}.traj"]):
        x = solver.step(torch.tanh(0.7 * x + 0.3) * (0.5 + t / 1000) - 0.2 * torch.sin(3 * x), x)
        torch.testing.assert_close(x, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shift", [3, 5])
def test_training_schedule(samplers, shift):
    schedule = TrainingSchedule(DiffusionConfig(train_shift=shift))
    torch.testing.assert_close(schedule.sigma_N, samplers[f"train.s{shift}.sigmas"], rtol=0, atol=1e-6)
    torch.testing.assert_close(schedule.timestep_N, samplers[f"train.s{shift}.timesteps"], rtol=0, atol=1e-3)
    torch.testing.assert_close(schedule.weight_N, samplers[f"train.s{shift}.weights"], rtol=1e-4, atol=1e-5)
    z0, noise = samplers[f"train.s{shift}.z0"], samplers[f"train.s{shift}.noise"]
    levels = schedule.at(samplers[f"train.s{shift}.ids"])
    torch.testing.assert_close(add_noise(z0, noise, levels.sigma), samplers[f"train.s{shift}.noisy"])
    torch.testing.assert_close(velocity(z0, noise), samplers[f"train.s{shift}.target"])
    torch.testing.assert_close(levels.weight, samplers[f"train.s{shift}.w"], rtol=1e-4, atol=1e-5)


def test_guidance_formulas():
    tensors = safetensors.load_file(GOLDENS / "j0_guidance_formula.safetensors")
    names = {Pass.CONDITIONAL: "cond", Pass.NO_TEXT: "uncond", Pass.NO_ALIGNMENT: "mmask", Pass.NO_TIMBRE: "timbre"}
    video = {kind: tensors[f"{name}_vid"] for kind, name in names.items()}
    audio = {kind: tensors[f"{name}_audio"] for kind, name in names.items()}
    for guider, velocities, expected in (
        (ClassifierFreeGuider(3), video, "vid.noalign"),
        (FactorizedGuider(3, 3), video, "vid.align"),
        (ClassifierFreeGuider(2), audio, "aud.plain"),
        (FactorizedGuider(2, 2), audio, "aud.align"),
        (FactorizedGuider(2, 0, 3), audio, "aud.timbre"),
        (FactorizedGuider(2, 2, 3), audio, "aud.align_timbre"),
    ):
        torch.testing.assert_close(guider.combine(velocities), tensors[expected])
