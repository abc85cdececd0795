"""Shares with their intervals: Wilson's for what is counted, a bootstrap over sources for F1."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_Z95 = 1.959964
_RESAMPLES = 2000


@dataclass(frozen=True)
class Tally:
    """What a detector found in one source: right, wrong, missed."""

    hits: int = 0
    false: int = 0
    missed: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        """Both together."""
        return Tally(self.hits + other.hits, self.false + other.false, self.missed + other.missed)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None when there was nothing to find and nothing found."""
        total = 2 * self.hits + self.false + self.missed
        return 2 * self.hits / total if total else None


def wilson(hits: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); 0 to 1 when nothing was counted."""
    if n == 0:
        return 0.0, 1.0
    share, square = hits / n, _Z95**2
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = _Z95 / (1 + square / n) * math.sqrt(share * (1 - share) / n + square / (4 * n * n))
    return (0.0 if hits == 0 else centre - half), (1.0 if hits == n else centre + half)


def bootstrap_f1(tallies: Sequence[Tally]) -> tuple[float, float]:
    """The 95 % interval of F1 when whole sources are drawn again, with the same draws every time."""
    counts_N3 = np.array([(tally.hits, tally.false, tally.missed) for tally in tallies], dtype=float).reshape(-1, 3)
    if not counts_N3.sum():
        return 0.0, 1.0
    draws_RN = np.random.default_rng(0).integers(len(counts_N3), size=(_RESAMPLES, len(counts_N3)))
    hits_R, false_R, missed_R = counts_N3[draws_RN].sum(axis=1).T
    total_R = 2 * hits_R + false_R + missed_R
    f1_R = 2 * hits_R[total_R > 0] / total_R[total_R > 0]
    low, high = np.quantile(f1_R, [0.025, 0.975])
    return float(low), float(high)


@dataclass(frozen=True)
class Score:
    """One figure of the report.

    Attributes:
        value: None when nothing could be counted.
        low, high: the 95 % interval.
        at_least, at_most: what was promised of the value, if anything.
        examples: where it went wrong, for whoever mends it.
    """

    name: str
    value: float | None
    n: int
    low: float
    high: float
    at_least: float | None = None
    at_most: float | None = None
    examples: tuple[str, ...] = ()

    @property
    def holds(self) -> bool | None:
        """Whether the promise is kept; None without a promise. What could not be counted keeps none."""
        if self.at_least is None and self.at_most is None:
            return None
        if self.value is None:
            return False
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


def share(
    name: str,
    outcomes: Sequence[tuple[bool, str]],
    at_least: float | None = None,
    at_most: float | None = None,
    wrong: bool = False,
) -> Score:
    """A share of outcomes (true or not, and of what).

    Args:
        wrong: whether the true ones are the faults, and so the examples.
    """
    hits = sum(outcome for outcome, _ in outcomes)
    examples = tuple(where for outcome, where in outcomes if outcome == wrong)
    value = hits / len(outcomes) if outcomes else None
    return Score(name, value, len(outcomes), *wilson(hits, len(outcomes)), at_least, at_most, examples)
