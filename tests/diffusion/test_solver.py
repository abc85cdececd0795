import pytest
import torch

from nava.diffusion.solver import Euler, UniPC, build_solver
from nava.diffusion.timestep import sampling_sigmas

# Data from N(MEAN, WIDTH^2): the exact velocity is known, and the path keeps the standard score of the noise.
MEAN, WIDTH = 2.0, 0.5


def gaussian_velocity(x, sigma):
    alpha = 1 - sigma
    variance = (alpha * WIDTH) ** 2 + sigma**2
    score_distance = (x - alpha * MEAN) / variance
    data = MEAN + alpha * WIDTH**2 * score_distance
    noise = sigma * score_distance
    return noise - data


def solve(name, steps):
    sigma_N = sampling_sigmas(steps, 1.0).double()
    x = start = torch.linspace(-2, 2, 9, dtype=torch.float64)
    solver = build_solver(name, sigma_N)
    for sigma in sigma_N[:-1]:
        x = solver.step(gaussian_velocity(x, sigma), x)
    first = sigma_N[0]
    spread = ((1 - first) * WIDTH) ** 2 + first**2
    exact = MEAN + WIDTH * (start - (1 - first) * MEAN) / spread.sqrt()
    return (x - exact).abs().max().item()


@pytest.mark.parametrize(("name", "order"), [("euler", 1), ("unipc", 2)])
def test_order_of_convergence(name, order):
    coarse, fine = solve(name, 40), solve(name, 80)
    assert coarse / fine == pytest.approx(2**order, rel=0.3)


def test_unipc_is_closer_than_euler():
    assert solve("unipc", 20) < solve("euler", 20) / 5


@pytest.mark.parametrize("name", ["euler", "unipc"])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_straight_paths_are_exact(name, steps):
    data, noise = torch.randn(2, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    sigma_N = sampling_sigmas(steps, 5.0).double()
    x = (1 - sigma_N[0]) * data + sigma_N[0] * noise
    solver = build_solver(name, sigma_N)
    for _ in range(steps):
        x = solver.step(noise - data, x)
    torch.testing.assert_close(x, data)


def test_both_modalities_at_once_equal_each_alone():
    sigma_N = sampling_sigmas(6, 3.0)
    states = torch.randn(4, generator=torch.Generator().manual_seed(1)), torch.ones(3)
    joint, alone = torch.cat(states), list(states)
    solver, solvers = UniPC(sigma_N), [UniPC(sigma_N), UniPC(sigma_N)]
    for sigma in sigma_N[:-1]:
        alone = [own.step(gaussian_velocity(x, sigma), x) for own, x in zip(solvers, alone)]
        joint = solver.step(gaussian_velocity(joint, sigma), joint)
    assert torch.equal(joint, torch.cat(alone))


def test_keeps_the_state_s_dtype():
    x = torch.zeros(3)
    assert UniPC(sampling_sigmas(4, 3.0).double()).step(x, x).dtype == torch.float32


@pytest.mark.parametrize("kind", [Euler, UniPC])
def test_one_step_too_many(kind):
    solver, x = kind(sampling_sigmas(2, 3.0)), torch.zeros(2)
    for _ in range(2):
        x = solver.step(x, x)
    with pytest.raises(ValueError, match="already made its 2 steps"):
        solver.step(x, x)


def test_unknown_solver():
    with pytest.raises(ValueError, match=r"unknown solver 'heun'; there are euler, unipc"):
        build_solver("heun", sampling_sigmas(2, 3.0))
