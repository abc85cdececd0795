"""Mistakes in what is made of embeddings and logits."""

import numpy as np

from nava.evaluation.scoring import cosine, desync, divergence, frechet
from tests.evaluation.scoring.trial import Trial, close


def gaussian_trace(first, second, root):
    gap = first.mean(0) - second.mean(0)
    one, other = np.cov(first, rowvar=False), np.cov(second, rowvar=False)
    return gap @ gap + np.trace(one) + np.trace(other) - 2 * root(one, other)


def frechet_cases(distance):
    rows = np.random.default_rng(0).normal(size=(40, 4))
    rows = (rows - rows.mean(0)) @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T
    close(distance(rows, rows), 0.0)
    close(distance(rows, rows + 2), 16.0)
    close(distance(rows * [2, 1, 3, 1], rows * [1, 1, 1, 5]), 1 + 4 + 16)
    close(distance(rows, np.zeros((40, 4))), 4.0)
    # Turned covariances: the root of the product's trace is known for 2 x 2.
    turn = np.array([[0.8, -0.6], [0.6, 0.8]])
    one, other = np.diag([4.0, 1.0]), turn @ np.diag([9.0, 0.25]) @ turn.T
    root = np.sqrt(np.trace(one @ other) + 2 * np.sqrt(np.linalg.det(one @ other)))
    close(distance(rows[:, :2] * [2, 1], rows[:, :2] * [3, 0.5] @ turn.T), 5 + 9.25 - 2 * root)


def pair_cases(distance):
    first, second = np.array([1.0, 0.0]), np.array([np.sqrt(0.5), np.sqrt(0.5)])
    close(distance(first, second), 2 * (1 - np.sqrt(0.5)) + 0.5)
    close(distance(first, -first), 4.0)


def pair_with_spread(ddof):
    return lambda a, b: ((a - b) ** 2).sum() + (a.std(ddof=ddof) - b.std(ddof=ddof)) ** 2


def kernel_cases(distance):
    close(distance(np.array([[0.0], [1.0]]), np.array([[2.0], [3.0]])), 1 + 343 - 46.5)


def kernel_biased(first, second):
    return (
        frechet.polynomial_kernel(first, first).mean()
        + frechet.polynomial_kernel(second, second).mean()
        - 2 * frechet.polynomial_kernel(first, second).mean()
    )


def divergence_cases(score):
    sure, even = np.log([[0.9, 0.1]]), np.log([[0.5, 0.5]])
    close(score(sure, even), 0.9 * np.log(0.9 / 0.500001) + 0.1 * np.log(0.1 / 0.500001))
    close(score(np.array([[4.0, 0.0], [0.0, 0.0]]), even), score(np.array([[2.0, 0.0]]), even))
    close(score(np.array([[900.0, 0.0]]), np.array([[0.0, 900.0]])), -np.log(1e-6))


def softmax(logits):
    exp = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exp / exp.sum(axis=-1, keepdims=True)


def divergence_of(p, q):
    with np.errstate(all="ignore"):
        return np.nansum(p * np.log(p / q))


def cosine_cases(score):
    close(score(np.array([3.0, 4.0]), np.array([8.0, 6.0])), 24 / 25)
    assert score(np.zeros(2), np.ones(2)) is None


def desync_cases(score):
    def logits(offset):
        return -np.abs(desync.OFFSET_S_21 - offset)

    close(score(logits(0.4), logits(-0.4)), 0.4)
    close(score(logits(-2.0), logits(1.0)), 1.5)


TRIALS = {
    "frechet": Trial(
        frechet_cases,
        lambda a, b: frechet.frechet_distance(a, b).score.value,
        {
            "distance not squared": lambda a, b: np.sqrt(frechet.frechet_distance(a, b).score.value),
            "no covariance": lambda a, b: ((a.mean(0) - b.mean(0)) ** 2).sum(),
            "root of entries": lambda a, b: gaussian_trace(a, b, lambda p, q: np.sqrt(np.abs(p @ q)).sum()),
            "root of eigenvalues of the sum": lambda a, b: gaussian_trace(a, b, lambda p, q: np.trace(p + q) / 2),
        },
    ),
    "pair distance": Trial(
        pair_cases,
        lambda a, b: frechet.pair_clap_distance(a, b).value,
        {
            "population deviation": pair_with_spread(0),
            "2 (1 - cos)": lambda a, b: 2 * (1 - a @ b),
            "not squared": lambda a, b: np.linalg.norm(a - b),
        },
    ),
    "kernel distance": Trial(
        kernel_cases,
        lambda a, b: frechet.kernel_distance(a, b, frechet.polynomial_kernel).score.value,
        {"diagonal counted": kernel_biased, "root taken": lambda a, b: np.sqrt(abs(kernel_biased(a, b)))},
    ),
    "divergence": Trial(
        divergence_cases,
        lambda a, b: divergence.class_divergence(a, b).value,
        {
            "other direction": lambda a, b: divergence.class_divergence(b, a).value,
            "softmax before the mean": lambda a, b: divergence_of(softmax(a).mean(0), softmax(b).mean(0) + 1e-6),
            "no floor": lambda a, b: divergence_of(softmax(a.mean(0)), softmax(b.mean(0))),
        },
    ),
    "cosine": Trial(
        cosine_cases,
        lambda a, b: cosine.cosine(a, b).value,
        {
            "dot product": lambda a, b: a @ b if a.any() else None,
            "zero is 0": lambda a, b: a @ b / max(np.linalg.norm(a) * np.linalg.norm(b), 1e-12),
        },
    ),
    "desync": Trial(
        desync_cases,
        lambda a, b: desync.desync(a, b).value,
        {
            "signed": lambda a, b: np.mean([desync.versebench_signed_offset(x).value for x in (a, b)]),
            "first window only": lambda a, b: abs(desync.versebench_signed_offset(a).value),
            "class numbers": lambda a, b: np.mean([abs(x.argmax() - 10) for x in (a, b)]),
        },
    ),
}
