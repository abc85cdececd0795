"""Blind pairwise judgements: good / same / bad counts, win rate, sign test, side bias, intervals over clusters.

Strengths of more than two models are in `bradley_terry`, agreement of raters in `agreement`. Protocol and unit values:
section 1.9 of the evaluation reference.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from nava.artifacts.evaluation_result import Estimate
from nava.evaluation.scoring.score import Score
from nava.evaluation.statistics import LEVEL, RESAMPLES, wilson
from nava.runtime.errors import InputError

Choice = Literal["left", "right", "tie"]
Cluster = Literal["rater", "case"]


@dataclass(frozen=True)
class Judgement:
    """One rater's answer to one question about two clips side by side. InputError for what cannot be an answer."""

    rater: str
    case: str
    left: str
    right: str
    choice: Choice

    def __post_init__(self) -> None:
        where = f"judgement of rater {self.rater!r} on case {self.case!r}"
        if self.choice not in get_args(Choice):
            raise InputError(f"{where}: choice is left, right or tie, not {self.choice!r}")
        if self.left == self.right:
            raise InputError(f"{where}: {self.left!r} is compared with itself; leave out items that check attention")

    @property
    def winner(self) -> str | None:
        """The model that was preferred; None for a tie."""
        return {"left": self.left, "right": self.right}.get(self.choice)

    @property
    def models(self) -> tuple[str, str]:
        """Both models in alphabetical order, whichever side they were on."""
        first, second = sorted((self.left, self.right))
        return first, second


@dataclass(frozen=True)
class Tally:
    """How often one model was better than, as good as, and worse than another. InputError for negative counts."""

    wins: int
    ties: int
    losses: int

    def __post_init__(self) -> None:
        if min(self.wins, self.ties, self.losses) < 0:
            raise InputError(f"counts of judgements cannot be negative: {self}")

    @property
    def n(self) -> int:
        """All judgements."""
        return self.wins + self.ties + self.losses


def tally(judgements: Iterable[Judgement], model: str, other: str) -> Tally:
    """Counts from ``model``'s side over its comparisons with ``other``; judgements of other pairs do not count."""
    if model == other:
        raise InputError(f"{model!r} cannot be compared with itself")
    winners = Counter(one.winner for one in judgements if {one.left, one.right} == {model, other})
    return Tally(winners[model], winners[None], winners[other])


def gsb(counts: Tally) -> Score:
    """Good-same-bad score (W - L) / (W + T + L), -1..1: ties count in the denominator only."""
    if not counts.n:
        return Score.missing("there are no judgements of this pair")
    return Score((counts.wins - counts.losses) / counts.n)


def win_rate(counts: Tally) -> Score:
    """Share of wins among judgements that are no ties, with its Wilson interval."""
    decided = counts.wins + counts.losses
    if not decided:
        return Score.missing(f"none of {counts.n} judgements prefers one of the two")
    return Score.of(wilson(counts.wins, decided))


def sign_test(counts: Tally) -> Score:
    """Exact two-sided p-value that wins and losses are equally likely (Dixon and Mood 1946); ties say nothing."""
    decided = counts.wins + counts.losses
    if not decided:
        return Score.missing(f"none of {counts.n} judgements prefers one of the two")
    return Score(_two_sided(min(counts.wins, counts.losses), decided))


@dataclass(frozen=True)
class SideBias:
    """Whether raters prefer a side: how often each was chosen, the left share with its interval, and its p-value."""

    left: int
    right: int
    ties: int
    left_share: Score
    p: Score


def side_bias(judgements: Iterable[Judgement]) -> SideBias:
    """Exact test that left and right are chosen equally often. Sides must have been randomised for it to mean bias."""
    chosen = Counter(one.choice for one in judgements)
    counts = Tally(chosen["left"], chosen["tie"], chosen["right"])
    return SideBias(counts.wins, counts.losses, counts.ties, win_rate(counts), sign_test(counts))


def cluster_gsb(
    judgements: Sequence[Judgement],
    model: str,
    other: str,
    by: Cluster,
    seed: int,
    resamples: int = RESAMPLES,
) -> Score:
    """GSB with the 95 % percentile interval of a bootstrap over raters or cases (Field and Welsh 2007).

    Judgements of one rater, or of one case, resemble each other: whole clusters are drawn, each with all of its
    judgements. ``n`` of the interval is the number of clusters. No value with fewer than two clusters.
    """
    per_cluster: dict[str, list[int]] = {}
    for one in judgements:
        if {one.left, one.right} == {model, other}:
            counts = per_cluster.setdefault(one.rater if by == "rater" else one.case, [0, 0])
            counts[0] += {model: 1, other: -1, None: 0}[one.winner]
            counts[1] += 1
    if len(per_cluster) < 2:
        return Score.missing(f"an interval over {by}s needs at least two of them, there are {len(per_cluster)}")
    # Sorted, so that the order of the votes in a file does not change the interval.
    balance_and_n_C2 = np.array([per_cluster[name] for name in sorted(per_cluster)], dtype=np.float64)
    picks_RC = np.random.default_rng(seed).integers(len(balance_and_n_C2), size=(resamples, len(balance_and_n_C2)))
    balance_R, n_R = balance_and_n_C2[picks_RC].sum(axis=1).T
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(balance_R / n_R, [tail, 100 - tail])
    value = float(balance_and_n_C2[:, 0].sum() / balance_and_n_C2[:, 1].sum())
    return Score.of(Estimate(value, float(low), float(high), len(balance_and_n_C2)))


def _two_sided(fewer: int, n: int) -> float:
    """P-value of ``fewer`` of ``n`` fair coin tosses, in exact integers until the division."""
    tail = sum(math.comb(n, k) for k in range(fewer + 1))
    return min(1.0, 2 * tail / 2**n)
