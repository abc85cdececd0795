import numpy as np
import pytest

from nava.evaluation.scoring.frechet import (
    frechet_distance,
    frechet_of_gaussians,
    gaussian_kernel,
    kernel_distance,
    median_distance,
    pair_clap_distance,
    polynomial_kernel,
    psd_square_root,
)
from nava.runtime.errors import InputError


def sample(n=200, d=6, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def white(n=200, d=6, seed=0):
    """A set whose mean is 0 and whose unbiased covariance is the identity, to rounding."""
    rows = sample(n, d, seed) - sample(n, d, seed).mean(axis=0)
    return rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T


def test_equal_sets_are_at_distance_0():
    result = frechet_distance(sample(), sample())
    assert result.score.value == pytest.approx(0, abs=1e-10)
    assert (result.n_first, result.n_second, result.dimensions, result.warning) == (200, 200, 6, "")


def test_a_shift_costs_its_length_squared():
    shift = np.arange(6) / 3
    assert frechet_distance(sample(), sample() + shift).score.value == pytest.approx(shift @ shift)
    assert frechet_of_gaussians(np.zeros(6), np.eye(6), shift, np.eye(6)) == pytest.approx(shift @ shift)


def test_diagonal_covariances():
    a, b = np.array([4.0, 1.0, 9.0, 0.0]), np.array([1.0, 1.0, 0.25, 4.0])
    expected = ((np.sqrt(a) - np.sqrt(b)) ** 2).sum()
    assert frechet_of_gaussians(np.zeros(4), np.diag(a), np.zeros(4), np.diag(b)) == pytest.approx(expected)


def test_diagonal_covariances_of_sets_are_unbiased_ones():
    scale = np.array([2.0, 1.0, 3.0, 0.5, 1.0, 4.0])
    expected = ((scale - 1) ** 2).sum()
    assert frechet_distance(white(), white(seed=1) * scale).score.value == pytest.approx(expected)


def test_rotated_covariances_of_two_dimensions_in_closed_form():
    # tr (AB)^1/2 = sqrt(tr AB + 2 sqrt(det A det B)) for 2 x 2.
    c, s = np.cos(0.7), np.sin(0.7)
    turn = np.array([[c, -s], [s, c]])
    a, b = np.diag([5.0, 1.0]), turn @ np.diag([3.0, 0.2]) @ turn.T
    root = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a) * np.linalg.det(b)))
    expected = np.trace(a) + np.trace(b) - 2 * root
    assert frechet_of_gaussians(np.zeros(2), a, np.zeros(2), b) == pytest.approx(expected)


def test_it_is_symmetric_and_agrees_with_a_general_matrix_root():
    from scipy.linalg import sqrtm

    first, second = sample(), sample(150, seed=1) @ np.random.default_rng(2).normal(size=(6, 6)) + 0.3
    there, back = frechet_distance(first, second).score.value, frechet_distance(second, first).score.value
    assert there == pytest.approx(back)
    covs = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    gap = first.mean(0) - second.mean(0)
    expected = gap @ gap + np.trace(covs[0] + covs[1] - 2 * sqrtm(covs[0] @ covs[1]).real)
    assert there == pytest.approx(expected)


def test_fewer_items_than_dimensions_are_measured_with_a_warning():
    result = frechet_distance(sample(5, 40), sample(5, 40) + 1)
    assert result.score.value == pytest.approx(40)
    assert "5 items are few for 40 dimensions (want 80 or more)" in result.warning


@pytest.mark.parametrize(("n", "warned"), [(11, True), (12, False)])
def test_the_warning_starts_below_twice_the_dimensions(n, warned):
    assert bool(frechet_distance(sample(n), sample(100)).warning) is warned
    assert bool(frechet_distance(sample(100), sample(n)).warning) is warned


def test_a_set_of_one_has_no_distance():
    for distance in (frechet_distance, lambda a, b: kernel_distance(a, b, polynomial_kernel)):
        result = distance(sample(1), sample())
        assert result.score.value is None
        assert "two items" in result.score.reason


def test_the_square_root_is_one():
    factor = np.random.default_rng(0).normal(size=(5, 3))
    matrix = factor @ factor.T  # rank 3 of 5
    root = psd_square_root(matrix)
    np.testing.assert_allclose(root @ root, matrix, atol=1e-12)
    np.testing.assert_allclose(root, root.T, atol=1e-12)
    np.testing.assert_array_equal(psd_square_root(np.zeros((2, 2))), np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[1, 2], [0, 1]], "not symmetric"),
        ([[1, 2], [2, 1]], "eigenvalue -1"),
        ([[-1, 0], [0, -1]], "eigenvalue -1"),
        ([[1, 2, 3]], "square"),
    ],
)
def test_what_is_no_covariance_is_refused(matrix, message):
    with pytest.raises(InputError, match=message):
        psd_square_root(np.array(matrix, dtype=float))


def test_sets_of_two_networks_are_refused():
    with pytest.raises(InputError, match="6 and 5 dimensions"):
        frechet_distance(sample(), sample(d=5))


def test_kernel_distance_of_two_points_each_by_hand():
    first, second = np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])
    # k(x, y) = (xy + 1)^3: within 1 and 343; across 1, 1, 27, 64.
    assert kernel_distance(first, second, polynomial_kernel).score.value == pytest.approx(1 + 343 - 2 * 93 / 4)


def test_the_polynomial_kernel_divides_by_the_dimensions():
    ones = np.ones((1, 7))
    assert polynomial_kernel(ones, 2 * ones)[0, 0] == pytest.approx(27)


def test_kernel_distance_of_one_distribution_is_0_on_average_and_below_it_about_half_of_the_time():
    values = [
        kernel_distance(sample(12, seed=i), sample(12, seed=1000 + i), polynomial_kernel).score.value
        for i in range(200)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)
    assert 0.3 < np.mean(np.array(values) < 0) < 0.8


def test_kernel_distance_sees_a_shift_with_few_items_and_is_symmetric():
    kernel = gaussian_kernel(median_distance(sample(20)))
    near, far = (kernel_distance(sample(20, seed=1), sample(20) + by, kernel).score.value for by in (0.0, 2.0))
    assert far > 0.5 > 5 * abs(near)
    back = kernel_distance(sample(20) + 2.0, sample(20, seed=1), kernel).score.value
    assert back == pytest.approx(far)


def test_gaussian_kernel_and_its_bandwidth():
    points = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]])
    assert median_distance(points) == pytest.approx(np.sqrt(18))  # 1, sqrt 18, 5
    np.testing.assert_allclose(gaussian_kernel(5.0)(points, points)[0], [1, np.exp(-0.5), np.exp(-0.02)])
    with pytest.raises(InputError, match="positive"):
        gaussian_kernel(median_distance(np.ones((3, 2))))
    with pytest.raises(InputError, match="two"):
        median_distance(np.ones((1, 2)))


def unit_pair(cosine, d=512, seed=0):
    """Two unit vectors with that cosine."""
    one, other = np.linalg.qr(np.random.default_rng(seed).normal(size=(d, 2)))[0].T
    return one, cosine * one + np.sqrt(1 - cosine**2) * other


def test_the_pair_distance_is_twice_one_minus_cosine_up_to_the_spread():
    # Measured with the public code: 0.44794104 where 2 (1 - cos) is 0.44794103.
    first, second = unit_pair(1 - 0.44794103 / 2)
    value = pair_clap_distance(first, second).value
    assert value == pytest.approx(0.44794104, abs=2e-5)
    assert value - 0.44794103 == pytest.approx((first.std(ddof=1) - second.std(ddof=1)) ** 2, abs=1e-12)


def test_the_pair_distance_is_what_numpy_1_26_makes_of_sets_of_one_row():
    first, second = unit_pair(0.2, d=4, seed=3)
    # With one row, cov takes the D values as observations of one variable: a scalar with D - 1 in the denominator.
    variances = [float(np.cov(vector)) for vector in (first, second)]
    gap = first - second
    expected = gap @ gap + variances[0] + variances[1] - 2 * np.sqrt(variances[0] * variances[1])
    assert pair_clap_distance(first, second).value == pytest.approx(expected, rel=1e-12)


def test_the_pair_distance_by_hand():
    first, second = np.array([1.0, 0.0]), np.array([np.sqrt(0.5), np.sqrt(0.5)])
    # Sample deviations: sqrt(1/2) and 0.
    assert pair_clap_distance(first, second).value == pytest.approx(2 * (1 - np.sqrt(0.5)) + 0.5)
    assert pair_clap_distance(first, first).value == 0
    assert pair_clap_distance(first, -first).value == pytest.approx(4)


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [([2.0, 0.0], [0.0, 1.0], "length 1"), ([1.0, 0.0], [1.0], "shape"), ([[1.0, 0.0]], [[1.0, 0.0]], "shape")],
)
def test_the_pair_distance_is_of_unit_vectors(first, second, message):
    with pytest.raises(InputError, match=message):
        pair_clap_distance(np.array(first), np.array(second))
