import pytest
import torch

from nava.config.diffusion import DiffusionConfig
from nava.diffusion.timestep import TrainingSchedule, model_timesteps, sampling_sigmas, shift_sigma


def test_shift_by_the_formula():
    sigma = torch.tensor([1.0, 0.75, 0.5, 0.25, 0.0])
    torch.testing.assert_close(shift_sigma(sigma, 5), torch.tensor([1.0, 0.9375, 5 / 6, 0.625, 0.0]))
    torch.testing.assert_close(shift_sigma(sigma, 1), sigma)


@pytest.mark.parametrize("shift", [1.0, 3.0, 5.0])
def test_training_grid(shift):
    schedule = TrainingSchedule(DiffusionConfig(train_shift=shift))
    assert len(schedule.sigma_N) == 1000
    assert schedule.sigma_N[0] == 1
    assert (schedule.sigma_N.diff() < 0).all()
    assert schedule.sigma_N[-1] > 0
    assert schedule.weight_N.mean() == pytest.approx(1.0, abs=1e-5)
    assert schedule.weight_N[0] == pytest.approx(0.0, abs=1e-5)
    peak = schedule.timestep_N[schedule.weight_N.argmax()]
    assert abs(peak - 500) < 3


def test_weights_of_the_release():
    schedule = TrainingSchedule(DiffusionConfig(train_shift=5.0))
    at = {
        sigma: schedule.weight_N[(schedule.sigma_N - sigma).abs().argmin()].item()
        for sigma in (0.978, 0.834, 0.5, 0.06)
    }
    assert at == pytest.approx({0.978: 0.14, 0.834: 1.0, 0.5: 2.07, 0.06: 0.39}, abs=0.02)


def test_weight_can_be_switched_off():
    schedule = TrainingSchedule(DiffusionConfig(gaussian_time_weight=False))
    assert (schedule.weight_N == 1).all()


def test_draws_are_uniform_on_the_grid_and_seeded():
    schedule = TrainingSchedule(DiffusionConfig(train_shift=3.0))
    levels = schedule.sample(20_000, torch.Generator().manual_seed(5))
    again = schedule.sample(20_000, torch.Generator().manual_seed(5))
    assert torch.equal(levels.sigma, again.sigma)
    assert levels.sigma.median() == pytest.approx(0.75, abs=0.01)  # half, shifted by 3
    assert levels.weight.mean() == pytest.approx(1.0, abs=0.02)
    torch.testing.assert_close(levels.timestep, levels.sigma * 1000)
    inside = torch.isin(levels.sigma, schedule.sigma_N)
    assert inside.all()


@pytest.mark.parametrize("steps", [1, 2, 20])
def test_sampling_goes_from_noise_to_data(steps):
    sigma_N = sampling_sigmas(steps, 3.0)
    assert len(sigma_N) == steps + 1
    assert (sigma_N.diff() < 0).all()
    assert sigma_N[0] == pytest.approx(0.9999, abs=2e-4)
    assert sigma_N[-1] == 0


def test_sampling_times_of_the_release():
    assert model_timesteps(sampling_sigmas(6, 5.0))[:-1].tolist() == [999, 961, 909, 833, 714, 499]
    fifty = model_timesteps(sampling_sigmas(50, 5.0))[:-1].tolist()
    assert fifty[:5] == [999, 995, 991, 987, 982]
    assert fifty[-3:] == [241, 172, 92]


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="at least one step"):
        sampling_sigmas(0, 3.0)
