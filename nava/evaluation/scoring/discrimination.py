"""How surely a value tells two groups of clips apart: the area under the ROC curve, with an interval.

The area is the chance that a clip of the first group has the higher value of two, ties counting half (Mann and Whitney
1947). Its interval is Newcombe's fifth method (2006): the areas that lie within 1.96 of their own standard errors of
the observed one. It stays honest at 0 and 1, where few clips are told apart without a fault.
"""

from __future__ import annotations

import math

import numpy as np

from nava.artifacts.evaluation_result import Estimate
from nava.evaluation.scoring.score import checked_array
from nava.runtime.errors import InputError

_Z = 1.959963984540054  # 97.5 % point of the standard normal
_HALVINGS = 60


def auroc(first_N: np.ndarray, second_M: np.ndarray) -> Estimate:
    """Chance that a value of the first group is the higher one; 0.5 says nothing. `n` is that of the smaller group.

    The interval is for groups of different clips; over the same clips before and after, it is a little wide.
    InputError for an empty group.
    """
    first_N, second_M = checked_array(first_N, "first group", "N"), checked_array(second_M, "second group", "N")
    if not len(first_N) or not len(second_M):
        raise InputError("two groups are needed to tell them apart, one is empty")
    above = float((first_N[:, None] > second_M[None]).mean())
    area = above + 0.5 * float((first_N[:, None] == second_M[None]).mean())
    sizes = len(first_N), len(second_M)
    return Estimate(area, _bound(area, 0.0, sizes), _bound(area, 1.0, sizes), min(sizes))


def _standard_error(area: float, sizes: tuple[int, int]) -> float:
    """Hanley and McNeil's (1982), with both groups as large as their mean but in the denominator."""
    first, second = sizes
    others = (first + second) / 2 - 1
    inside = 1 + others * (1 - area) / (2 - area) + others * area / (1 + area)
    return math.sqrt(max(0.0, area * (1 - area) * inside / (first * second)))


def _bound(area: float, end: float, sizes: tuple[int, int]) -> float:
    """The area furthest towards an end that is still within its own interval of the observed one, by halving."""
    inside, outside = area, end
    if abs(end - area) <= _Z * _standard_error(end, sizes):
        return end
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        if abs(middle - area) <= _Z * _standard_error(middle, sizes):
            inside = middle
        else:
            outside = middle
    return inside
