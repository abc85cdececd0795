"""Strengths of several models from pairwise judgements: Bradley-Terry with Davidson's ties."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nava.evaluation.scoring.judgements import Judgement
from nava.runtime.errors import InputError

_ITERATIONS = 200
_CONVERGED = 1e-10
_LARGEST_STEP = 2.0  # of a log strength: keeps early Newton steps where the likelihood is curved
_INFINITE = 15.0  # a log strength beyond it is odds of 3 million to 1: the maximum lies at infinity


@dataclass(frozen=True)
class Strengths:
    """Fitted strengths, or why there are none.

    Attributes:
        models: names; the arrays are in their order.
        log_strength_M: natural log, with mean 0. A difference d means odds of exp(d) when there is no tie.
        stderr_M: standard errors of them, from the inverse Fisher information.
        tie_weight: Davidson's nu; two equal models tie with probability nu / (2 + nu). 0 if nobody tied.
        reason: why there are no strengths; then the arrays are empty and the weight is None.
    """

    models: tuple[str, ...]
    log_strength_M: np.ndarray  # noqa: N815
    stderr_M: np.ndarray  # noqa: N815
    tie_weight: float | None
    reason: str = ""

    @property
    def elo_M(self) -> np.ndarray:  # noqa: N802
        """The same on Elo's scale, with mean 1000."""
        return 1000 + 400 / math.log(10) * self.log_strength_M


def fit_judgements(judgements: Iterable[Judgement]) -> Strengths:
    """Strengths of all models that occur in the judgements."""
    votes = list(judgements)
    models = tuple(sorted({name for one in votes for name in one.models}))
    place = {name: index for index, name in enumerate(models)}
    wins_MM, ties_MM = np.zeros((2, len(models), len(models)))
    for one in votes:
        if one.winner is None:
            first, second = one.models
            ties_MM[place[first], place[second]] += 1
        else:
            loser = one.right if one.winner == one.left else one.left
            wins_MM[place[one.winner], place[loser]] += 1
    return fit_counts(models, wins_MM, ties_MM)


def fit_counts(models: tuple[str, ...], wins_MM: np.ndarray, ties_MM: np.ndarray) -> Strengths:
    """Maximum likelihood of Davidson's model (JASA 1970) by Newton's method.

    P(i beats j) = p_i / s, P(tie) = nu sqrt(p_i p_j) / s with s = p_i + p_j + nu sqrt(p_i p_j). In log strengths and
    log nu it is an exponential family, so its likelihood is concave.

    Args:
        models: their names.
        wins_MM: how often the row's model beat the column's.
        ties_MM: ties of the two; one pair's may stand in either triangle or be shared by both.
    """
    wins_MM, ties_MM = (np.asarray(counts, dtype=np.float64) for counts in (wins_MM, ties_MM))
    expected = (len(models), len(models))
    if wins_MM.shape != expected or ties_MM.shape != expected:
        raise InputError(f"counts of {len(models)} models are {expected}, got {wins_MM.shape} and {ties_MM.shape}")
    if (wins_MM < 0).any() or (ties_MM < 0).any() or np.trace(wins_MM) + np.trace(ties_MM):
        raise InputError("counts of judgements are not negative, and no model is compared with itself")
    if len(models) < 2:
        return _none(models, "strengths need judgements of at least two models")
    if not wins_MM.sum():
        return _none(models, "there are only ties, or no judgements: no model was ever preferred")
    if not _connected(wins_MM + wins_MM.T + ties_MM + ties_MM.T):
        return _none(models, "some models were never compared with the others, directly or through a third")
    return _newton(models, wins_MM, ties_MM + ties_MM.T)


def _newton(models: tuple[str, ...], wins_MM: np.ndarray, ties_MM: np.ndarray) -> Strengths:
    """Maximum likelihood from equal strengths. ``ties_MM`` is symmetric: each pair's ties stand in both triangles."""
    with_ties = bool(ties_MM.sum())
    parameters = np.zeros(len(models) + with_ties)
    reason = "no finite strengths fit: some models never lost against the others, or nobody lost without ties"
    for _ in range(_ITERATIONS):
        gradient, information = _derivatives(parameters, wins_MM, ties_MM, with_ties)
        # Only differences of strengths matter: the information is singular along "all the same", the gradient is 0.
        try:
            step = np.linalg.solve(_pinned(information, len(models)), gradient)
        except np.linalg.LinAlgError:
            return _none(models, reason)
        parameters = parameters + step * min(1.0, _LARGEST_STEP / max(float(np.abs(step).max()), 1e-300))
        parameters[: len(models)] -= parameters[: len(models)].mean()
        if np.abs(parameters).max() > _INFINITE:
            return _none(models, reason)
        if np.abs(step).max() < _CONVERGED:
            break
    else:
        return _none(models, f"the fit did not converge in {_ITERATIONS} steps")
    _, information = _derivatives(parameters, wins_MM, ties_MM, with_ties)
    variance = np.diag(np.linalg.pinv(information, hermitian=True))[: len(models)]
    tie_weight = float(np.exp(parameters[-1])) if with_ties else 0.0
    return Strengths(models, parameters[: len(models)], np.sqrt(variance), tie_weight)


def _derivatives(
    parameters: np.ndarray, wins_MM: np.ndarray, ties_MM: np.ndarray, with_ties: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Gradient and Fisher information (minus the Hessian) of the log likelihood."""
    n_models = len(wins_MM)
    size = len(parameters)
    gradient, information = np.zeros(size), np.zeros((size, size))
    for i in range(n_models):
        for j in range(i + 1, n_models):
            counts = np.array([wins_MM[i, j], wins_MM[j, i], ties_MM[i, j]])
            if not counts.sum():
                continue
            # What each outcome adds up: win of i, win of j, tie.
            features = np.zeros((3, size))
            features[0, i] = features[1, j] = 1.0
            features[2, [i, j]] = 0.5
            if with_ties:
                features[2, -1] = 1.0
            odds = np.exp(features @ parameters)
            if not with_ties:
                odds[2] = 0.0
            chance = odds / odds.sum()
            mean = chance @ features
            gradient += counts @ features - counts.sum() * mean
            information += counts.sum() * ((chance[:, None] * features).T @ features - np.outer(mean, mean))
    return gradient, information


def _pinned(information: np.ndarray, n_models: int) -> np.ndarray:
    """The information made regular by holding the mean of the strengths."""
    pinned = information.copy()
    pinned[:n_models, :n_models] += 1.0 / n_models
    return pinned


def _connected(compared_MM: np.ndarray) -> bool:
    """Whether every model can be reached from the first one over pairs that were compared."""
    reached = {0}
    while True:
        further = {int(j) for i in reached for j in np.flatnonzero(compared_MM[i])} - reached
        if not further:
            return len(reached) == len(compared_MM)
        reached |= further


def _none(models: tuple[str, ...], reason: str) -> Strengths:
    return Strengths(models, np.empty(0), np.empty(0), None, reason)
