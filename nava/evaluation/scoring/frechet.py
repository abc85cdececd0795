"""Distances between sets of embeddings (Fréchet, kernel), and Verse-Bench's "FD", which is none of them.

Section 1.6 of the evaluation reference. The names are apart on purpose: a Fréchet distance needs many more files than
embedding dimensions; Verse-Bench compares file by file.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nava.evaluation.scoring.score import Score, checked_array
from nava.runtime.errors import InputError

ENOUGH_PER_DIMENSION = 2  # fewer items per dimension than this: the covariance is mostly noise
_ROUNDING = 1e-6  # relative size of asymmetry and negative eigenvalues that rounding explains

Kernel = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""Kernel values [N, M] of rows [N, D] and [M, D]."""


@dataclass(frozen=True)
class SetDistance:
    """A distance between two sets, their sizes, and what makes it untrustworthy ("" if nothing)."""

    score: Score
    n_first: int
    n_second: int
    dimensions: int
    warning: str = ""


def frechet_distance(first_ND: np.ndarray, second_MD: np.ndarray) -> SetDistance:
    """Fréchet distance of Gaussians fitted to two sets of embeddings (unbiased covariances), with a warning if small.

    No value for sets of fewer than two. Biased upwards for few items: compare only results of the same sizes.
    """
    first_ND, second_MD = _two_sets(first_ND, second_MD)
    n_first, n_second, dimensions = len(first_ND), len(second_MD), first_ND.shape[1]
    fewest = min(n_first, n_second)
    if fewest < 2:
        missing = Score.missing(f"a covariance needs at least two items, the sets have {n_first} and {n_second}")
        return SetDistance(missing, n_first, n_second, dimensions)
    warning = ""
    if fewest < ENOUGH_PER_DIMENSION * dimensions:
        warning = (
            f"{fewest} items are few for {dimensions} dimensions (want {ENOUGH_PER_DIMENSION * dimensions} or more): "
            "the distance is biased upwards; use the kernel distance"
        )
    means = first_ND.mean(axis=0), second_MD.mean(axis=0)
    if max(n_first, n_second) < dimensions:
        value = _of_few(first_ND - means[0], second_MD - means[1], means[0] - means[1])
    else:
        value = frechet_of_gaussians(means[0], _covariance(first_ND), means[1], _covariance(second_MD))
    return SetDistance(Score(value), n_first, n_second, dimensions, warning)


def frechet_of_gaussians(
    mean_first_D: np.ndarray, cov_first_DD: np.ndarray, mean_second_D: np.ndarray, cov_second_DD: np.ndarray
) -> float:
    """|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2) (Dowson and Landau 1982).

    The trace of (S1 S2)^1/2 is the sum of the singular values of S1^1/2 S2^1/2: no root of a matrix that is not
    symmetric, so singular covariances are no problem.
    """
    difference_D = np.asarray(mean_first_D, np.float64) - np.asarray(mean_second_D, np.float64)
    product_DD = psd_square_root(cov_first_DD) @ psd_square_root(cov_second_DD)
    shared = float(np.linalg.svd(product_DD, compute_uv=False).sum())
    value = difference_D @ difference_D + np.trace(cov_first_DD) + np.trace(cov_second_DD) - 2 * shared
    return max(0.0, float(value))  # rounding of equal sets


def _of_few(centred_first_ND: np.ndarray, centred_second_MD: np.ndarray, difference_D: np.ndarray) -> float:
    """The same from fewer rows than dimensions: (S1 S2)^1/2 has the trace of the singular values of A B^T [N, M].

    A and B are the centred rows over the root of their number less one. In 2048 dimensions this takes a hundredth of
    the time that roots of covariances take.
    """
    first_ND, second_MD = (rows / np.sqrt(len(rows) - 1) for rows in (centred_first_ND, centred_second_MD))
    shared = float(np.linalg.svd(first_ND @ second_MD.T, compute_uv=False).sum())
    value = difference_D @ difference_D + (first_ND**2).sum() + (second_MD**2).sum() - 2 * shared
    return max(0.0, float(value))  # rounding of equal sets


def psd_square_root(matrix_DD: np.ndarray) -> np.ndarray:
    """Symmetric square root by eigenvalues. InputError unless symmetric and without negative eigenvalues."""
    matrix_DD = checked_array(matrix_DD, "covariance", "DD")
    if matrix_DD.shape[0] != matrix_DD.shape[1]:
        raise InputError(f"a covariance is square, got {matrix_DD.shape}")
    scale = float(np.abs(matrix_DD).max())
    if np.abs(matrix_DD - matrix_DD.T).max() > _ROUNDING * scale:
        raise InputError("the matrix is not symmetric, so it is no covariance")
    value_D, vector_DD = np.linalg.eigh((matrix_DD + matrix_DD.T) / 2)
    if value_D[0] < -_ROUNDING * max(scale, float(value_D[-1])):
        raise InputError(f"the matrix has the eigenvalue {value_D[0]:g}: a covariance has none below 0")
    return (vector_DD * np.sqrt(np.maximum(value_D, 0.0))) @ vector_DD.T


def kernel_distance(first_ND: np.ndarray, second_MD: np.ndarray, kernel: Kernel) -> SetDistance:
    """Unbiased squared maximum mean discrepancy (Gretton 2012): for few items; can be slightly negative."""
    first_ND, second_MD = _two_sets(first_ND, second_MD)
    n_first, n_second, dimensions = len(first_ND), len(second_MD), first_ND.shape[1]
    if min(n_first, n_second) < 2:
        missing = Score.missing(f"pairs within a set need two items, the sets have {n_first} and {n_second}")
        return SetDistance(missing, n_first, n_second, dimensions)
    within_first = _mean_off_diagonal(kernel(first_ND, first_ND))
    within_second = _mean_off_diagonal(kernel(second_MD, second_MD))
    value = within_first + within_second - 2 * float(kernel(first_ND, second_MD).mean())
    return SetDistance(Score(value), n_first, n_second, dimensions)


def polynomial_kernel(first_ND: np.ndarray, second_MD: np.ndarray) -> np.ndarray:
    """(x . y / D + 1)^3, the kernel of KID (Binkowski 2018)."""
    return (first_ND @ second_MD.T / first_ND.shape[1] + 1) ** 3


def gaussian_kernel(bandwidth: float) -> Kernel:
    """exp(-|x - y|^2 / (2 bandwidth^2)), the kind of kernel of KAD, whose bandwidth is `median_distance`."""
    if not bandwidth > 0:
        raise InputError(f"a bandwidth is positive, not {bandwidth}: with all references equal there is none")

    def kernel(first_ND: np.ndarray, second_MD: np.ndarray) -> np.ndarray:
        return np.exp(-_squared_distances(first_ND, second_MD) / (2 * bandwidth**2))

    return kernel


def median_distance(reference_ND: np.ndarray) -> float:
    """Median distance between different rows of the reference set: a scale that does not depend on what is judged."""
    reference_ND = checked_array(reference_ND, "reference embeddings", "ND")
    if len(reference_ND) < 2:
        raise InputError("a median distance needs at least two reference embeddings")
    above = np.triu_indices(len(reference_ND), k=1)
    return float(np.median(np.sqrt(_squared_distances(reference_ND, reference_ND)[above])))


def pair_clap_distance(generated_D: np.ndarray, reference_D: np.ndarray) -> Score:
    """What Verse-Bench calls FD of one file: |e1 - e2|^2 + (s1 - s2)^2 of two unit-length CLAP embeddings, 0..4.

    Its code takes a Fréchet distance of sets of one row. There numpy 1.26's ``cov`` reads the row's D values as D
    observations of one variable, so "the covariance" is their sample variance s^2 (D - 1 in the denominator) and the
    trace term is (s1 - s2)^2. In effect 2 (1 - cos). With numpy 2 the same code fails; this is the formula.

    InputError unless both have length 1: the published embeddings do.
    """
    generated_D = checked_array(generated_D, "generated CLAP embedding", "D")
    reference_D = checked_array(reference_D, "reference CLAP embedding", "D")
    if generated_D.shape != reference_D.shape or len(generated_D) < 2:
        raise InputError(f"CLAP embeddings differ in shape: {generated_D.shape} and {reference_D.shape}")
    lengths = np.linalg.norm(generated_D), np.linalg.norm(reference_D)
    if max(abs(length - 1) for length in lengths) > 1e-3:
        raise InputError(f"CLAP embeddings have length 1 here, got {lengths[0]:.4g} and {lengths[1]:.4g}")
    difference_D = generated_D - reference_D
    spread = generated_D.std(ddof=1) - reference_D.std(ddof=1)
    return Score(float(difference_D @ difference_D + spread**2))


def _two_sets(first_ND: np.ndarray, second_MD: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    first_ND = checked_array(first_ND, "first set of embeddings", "ND")
    second_MD = checked_array(second_MD, "second set of embeddings", "ND")
    if first_ND.shape[1] != second_MD.shape[1]:
        raise InputError(f"embeddings have {first_ND.shape[1]} and {second_MD.shape[1]} dimensions: of one network?")
    return first_ND, second_MD


def _covariance(rows_ND: np.ndarray) -> np.ndarray:
    centred_ND = rows_ND - rows_ND.mean(axis=0)
    return centred_ND.T @ centred_ND / (len(rows_ND) - 1)


def _mean_off_diagonal(kernel_NN: np.ndarray) -> float:
    n = len(kernel_NN)
    return float((kernel_NN.sum() - np.trace(kernel_NN)) / (n * (n - 1)))


def _squared_distances(first_ND: np.ndarray, second_MD: np.ndarray) -> np.ndarray:
    lengths_NM = (first_ND**2).sum(axis=1)[:, None] + (second_MD**2).sum(axis=1)[None, :]
    return np.maximum(lengths_NM - 2 * first_ND @ second_MD.T, 0.0)
