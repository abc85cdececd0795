"""Cosine of two embeddings, with a reason where it does not exist."""

from __future__ import annotations

import numpy as np

from nava.evaluation.scoring.score import Score
from nava.runtime.errors import InputError

_SMALLEST_LENGTH = 1e-12  # below it a direction is rounding error


def cosine(first_D: np.ndarray, second_D: np.ndarray, what: str = "embedding") -> Score:
    """Cosine of two vectors [D], -1..1; no value where one is zero or not finite. InputError if the shapes differ.

    A network that was given silence or broken media answers zeros or nan: that is an item without a score.
    """
    first_D, second_D = (np.asarray(vector, dtype=np.float64) for vector in (first_D, second_D))
    if first_D.ndim != 1 or first_D.shape != second_D.shape or not first_D.size:
        raise InputError(f"{what}s must be two vectors of one length, got shapes {first_D.shape} and {second_D.shape}")
    for name, vector_D in (("first", first_D), ("second", second_D)):
        if not np.isfinite(vector_D).all():
            return Score.missing(f"the {name} {what} has values that are not finite")
        if np.linalg.norm(vector_D) < _SMALLEST_LENGTH:
            return Score.missing(f"the {name} {what} is zero and has no direction")
    value = first_D @ second_D / (np.linalg.norm(first_D) * np.linalg.norm(second_D))
    return Score(float(np.clip(value, -1.0, 1.0)))  # rounding can leave the range
