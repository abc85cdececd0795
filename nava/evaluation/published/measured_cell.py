"""A cell under a published column's title: a number only if the very metric was computed by its paper-grade backend."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nava.evaluation.catalogue.manifest import catalogue
from nava.evaluation.published.grid import Cell, Grid, number_cell

Columns = Mapping[str, Mapping[str, Any]]


def measured_cell(
    grid: Grid, metric: str, columns: Columns, figures: Columns, absent: list[Mapping[str, str]], *, sign: bool = False
) -> Cell:
    """The figure of a metric by a paper-grade backend, which a footnote names; else a dash with the reason.

    Args:
        grid: takes the footnotes.
        metric: id in the catalogue.
        columns: metric, backend, tier and unproven of every column that was computed, by its name.
        figures: value, interval, coverage and reason of every column.
        absent: metrics that could not be computed, with their reasons.
        sign: whether it is a difference.
    """
    own = {name: meta for name, meta in columns.items() if meta["metric"] == metric}
    for name, meta in own.items():
        figure = figures[name]
        if meta["tier"] == "paper" and figure["value"] is not None and figure["covered"]:
            marks = [grid.mark(f"{metric} by {meta['backend']}")]
            if meta["unproven"]:
                marks.append(grid.mark(f"{meta['backend']} has never run on its real weights"))
            return number_cell(figure["value"], figure["ci_low"], figure["ci_high"], sign=sign, marks=marks)
    reasons = [figures[name]["reason"] for name, meta in own.items() if meta["tier"] == "paper"]
    reasons += [f"{entry['backend']}: {entry['reason']}" for entry in absent if entry["metric"] == metric]
    if embedded := [meta["backend"] for meta in own.values() if meta["tier"] != "paper"]:
        reasons.append(f"the embedded {', '.join(embedded)} is another ruler; its figure stands under its own name")
    return grid.missing(f"{metric}: {'; '.join(filter(None, reasons)) or 'not among the metrics that were computed'}")


def direction_of(metric: str) -> str:
    """What is better: `higher` or `lower`."""
    return catalogue()[metric].direction
