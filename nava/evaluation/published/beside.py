"""Results beside the published table of their task, in the table's own columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nava.evaluation.benchmark.task import load_task
from nava.evaluation.published.grid import MEASURED, PUBLISHED, Cell, Grid, GridRow
from nava.evaluation.published.measured_cell import direction_of, measured_cell
from nava.evaluation.published.table import published_table


def published_grid(results: Sequence[tuple[str, Mapping[str, Any]]]) -> Grid | None:
    """Published rows and, below them, a row for each result; None where nothing is published on the task.

    Args:
        results: a label and `summary.json` of each, all of the same task, edition and items.
    """
    summary = results[0][1]
    table = published_table(summary["task"].partition(".")[0])
    if table is None:
        return None
    titles = list(table.columns.items())
    head = [
        ("Model", ""),
        ("Size", ""),
        ("Resolution", ""),
        *((title, direction_of(metric)) for title, metric in titles),
    ]
    grid = Grid(f"Published on {table.task}, and measured here", head)
    decimals = {title: max(_decimals(row.values.get(title)) for row in table.rows) for title, _ in titles}
    for row in table.rows:
        shown = {title: f"{value:.{decimals[title]}f}" for title, value in row.values.items()}
        cells = [Cell(shown.get(title, "")) for title, _ in titles]
        grid.rows.append(GridRow(row.model, PUBLISHED, [Cell(row.size), Cell(row.resolution), *cells]))
    for label, own in results:
        figures = {figure["column"]: figure for figure in own["figures"]}
        cells = [measured_cell(grid, metric, figures, figures, own["absent"]) for _, metric in titles]
        grid.rows.append(GridRow(label, MEASURED, [Cell(""), Cell(""), *cells]))
    grid.remarks = [f"Published: {table.source}.", f"Measured: over {_items(summary)}."]
    return grid


def _decimals(value: float | None) -> int:
    """How many a number was stated with; those of a column differ by zeros at the end."""
    return 0 if value is None else len(repr(value).partition(".")[2])


def _items(summary: Mapping[str, Any]) -> str:
    """How many items, and of how many: a part of a benchmark has other figures."""
    stated = sum(subset.items for subset in load_task(summary["task"].partition(".")[0]).subsets.values())
    return f"{summary['items']} of the benchmark's {stated} items"
