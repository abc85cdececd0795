"""What a scorer answers: a finite number, or the reason why there is none. Never 0 or -999 for "not measured"."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nava.artifacts.evaluation_result import Estimate
from nava.runtime.errors import InputError


@dataclass(frozen=True)
class Score:
    """A number, or None and why.

    Attributes:
        value: finite, or None.
        reason: why there is no value; empty where there is one.
        interval: the value with its confidence interval and n, where the scorer knows one.
    """

    value: float | None
    reason: str = ""
    interval: Estimate | None = None

    def __post_init__(self) -> None:
        if self.value is None:
            assert self.reason, "a score without a value says why"
            assert self.interval is None, "a score without a value has no interval"
        else:
            assert math.isfinite(self.value), f"a score is finite or None with a reason, got {self.value}"
            assert not self.reason, f"a score with a value has no reason for lacking one: {self.reason}"

    @classmethod
    def of(cls, estimate: Estimate) -> Score:
        """The value of an estimate, with its interval."""
        return cls(estimate.value, interval=estimate)

    @classmethod
    def missing(cls, reason: str) -> Score:
        """No value, and why."""
        return cls(None, reason)


@dataclass(frozen=True)
class MeanScore:
    """The mean over the items that have a value.

    Attributes:
        score: the mean, or why there is none.
        n: items in the mean.
        left_out: index of each item without a value, and the item's reason: failures that are left out move the mean.
    """

    score: Score
    n: int
    left_out: dict[int, str]

    @property
    def coverage(self) -> float | None:
        """Share of the items that are in the mean; None without items."""
        items = self.n + len(self.left_out)
        return self.n / items if items else None


def mean_score(scores: Iterable[Score]) -> MeanScore:
    """Mean of the scores that have a value (each item counts the same), and what is left out of it."""
    values: list[float] = []
    left_out: dict[int, str] = {}
    for index, score in enumerate(scores):
        if score.value is None:
            left_out[index] = score.reason
        else:
            values.append(score.value)
    if not values:
        return MeanScore(Score.missing(f"none of {len(left_out)} items has a value"), 0, left_out)
    return MeanScore(Score(float(np.mean(values))), len(values), left_out)


def checked_array(values: np.ndarray, what: str, axes: str) -> np.ndarray:
    """The array as float64. InputError unless it has the axes named, none of them empty, and finite values.

    Args:
        what: what it is, for the message.
        axes: a letter per axis, such as "ND".
    """
    array = np.asarray(values)
    if array.ndim != len(axes) or array.size == 0:
        raise InputError(f"{what}: expected a non-empty array [{', '.join(axes)}], got shape {array.shape}")
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == bool) or np.iscomplexobj(array):
        raise InputError(f"{what}: expected real numbers, got {array.dtype}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(f"{what}: {int((~np.isfinite(array)).sum())} of {array.size} values are not finite")
    return array
