"""Two runs on the same items: paired differences with intervals, and whether they are more than chance."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nava.evaluation.run.records import ROWS_FILE, by_column, measured_differently, read_rows, read_summary
from nava.evaluation.statistics import LEVEL, RESAMPLES
from nava.runtime.errors import InputError

MIN_ITEMS = 2


@dataclass(frozen=True)
class Comparison:
    """A column of both runs.

    Attributes:
        first, second: means over the items that both have a value for.
        difference: first minus second, with its 95 % paired bootstrap interval.
        p_value: two-sided, of the difference's sign under the bootstrap.
        better: `first`, `second`, or empty if the interval holds 0.
        n: common items; only_first, only_second: items that one run alone has a value for.
        reason: why there is no comparison.
    """

    column: str
    direction: str
    first: float | None
    second: float | None
    difference: float | None
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    better: str
    n: int
    only_first: int
    only_second: int
    reason: str = ""


def compare_runs(first: Path, second: Path, seed: int = 0) -> list[Comparison]:
    """Compare every column that both runs have.

    Raises:
        InputError: the runs are of other tasks, editions or items: their figures are not of the same thing.
    """
    summaries = [read_summary(folder) for folder in (first, second)]
    for name in ("task", "manifest_sha256"):
        if summaries[0][name] != summaries[1][name]:
            raise InputError(
                f"{first} and {second} cannot be compared: {name} is {summaries[0][name]} and {summaries[1][name]}"
            )
    rows = [by_column(read_rows(folder / ROWS_FILE)) for folder in (first, second)]
    figures = [{figure["column"]: figure for figure in summary["figures"]} for summary in summaries]
    directions = {column: figure["direction"] for column, figure in figures[0].items()}
    found = []
    for column in rows[0]:
        if column in rows[1]:
            protocols = {row.protocol for side in rows for row in side[column]}
            values = [{row.item_id: row.value for row in side[column] if row.value is not None} for side in rows]
            backends = [side[column].get("backend_sha256") for side in figures if column in side]
            if len(protocols) > 1:
                found.append(_none(column, directions[column], f"protocols differ: {', '.join(sorted(protocols))}"))
            elif measured_differently(backends):
                found.append(_none(column, directions[column], "measured by other versions or weights of the backend"))
            else:
                found.append(_compared(column, directions[column], values[0], values[1], seed))
    return found


def _compared(column: str, direction: str, first: dict[str, float], second: dict[str, float], seed: int) -> Comparison:
    common = sorted(first.keys() & second.keys())
    alone = len(first.keys() - second.keys()), len(second.keys() - first.keys())
    if len(common) < MIN_ITEMS:
        return _none(column, direction, f"{len(common)} items have a value in both", *alone)
    own, other = (np.array([side[item] for item in common]) for side in (first, second))
    difference = own - other
    low, high, p_value = paired_bootstrap(difference, seed)
    better = ""
    if low > 0 or high < 0:
        better = "first" if (low > 0) == (direction == "higher") else "second"
    return Comparison(
        column, direction, float(own.mean()), float(other.mean()), float(difference.mean()), low, high,
        p_value, better, len(common), *alone,
    )  # fmt: skip


def paired_bootstrap(difference_N: np.ndarray, seed: int, level: float = LEVEL) -> tuple[float, float, float]:
    """Low and high end of the percentile bootstrap interval of a mean difference, and the p-value of its sign.

    Args:
        difference_N: of each item that both runs have a value for; at least two.
        seed: of the resampling.
        level: of the interval, 0.95 for 95 %.
    """
    picks = np.random.default_rng(seed).integers(len(difference_N), size=(RESAMPLES, len(difference_N)))
    means = difference_N[picks].mean(axis=1)
    tail = 100 * (1 - level) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return float(low), float(high), _p_value(means)


def _p_value(means: np.ndarray) -> float:
    """Twice the share of resampled means beyond 0, never below what so many resamples can tell."""
    beyond = min((means <= 0).mean(), (means >= 0).mean())
    return float(min(1.0, max(2 * beyond, 1 / len(means))))


def _none(column: str, direction: str, reason: str, only_first: int = 0, only_second: int = 0) -> Comparison:
    return Comparison(
        column, direction, None, None, None, None, None, None, "", 0, only_first, only_second, reason
    )  # fmt: skip
