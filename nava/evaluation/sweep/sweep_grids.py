"""A sweep's table for people: a row for each metric, a column for each variant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nava.evaluation.published.grid import Cell, Grid, GridRow, number_cell

_UNPROVEN = "the backend has never run on its real weights"


def sweep_grids(table: Mapping[str, Any]) -> list[Grid]:
    """Values of all variants, and differences from the baseline.

    Args:
        table: as `nava.evaluation.sweep.table.tabulate` gives it.
    """
    values = _grid(table, f"{table['title']}: {table['model']} on {table['task']}", "figures")
    values.remarks = [_basis(table), *_absent(table)]
    others = [name for name in table["variants"] if name != table["baseline"]]
    differences = _grid(table, f"Difference from {table['baseline']}", "differences")
    tests = len(others) * len(table["columns"])
    differences.remarks = [
        "Variant minus baseline on the same item and seed. *+, *-: the interval leaves out 0, to the better or worse.",
        f"Each interval is for itself: of {tests}, about {max(1, round(0.05 * tests))} may leave out 0 by chance.",
    ]
    return [values, differences]


def _basis(table: Mapping[str, Any]) -> str:
    seeds = ", ".join(map(str, table["seeds"]))
    over = "items and seeds" if len(table["seeds"]) > 1 else "items alone: with one seed it says nothing of others"
    return (
        f"{table['items']} items (manifest {table['manifest_sha256'][:12]}), seeds {seeds}; 95 % bootstrap intervals "
        f"over {over}; of distances of sets, Student's over seeds."
    )


def _absent(table: Mapping[str, Any]) -> list[str]:
    found = [f"Not measured: {entry['metric']}[{entry['backend']}]: {entry['reason']}" for entry in table["absent"]]
    if table["failures"]:
        first = table["failures"][0]
        found.append(
            f"{len(table['failures'])} clips could not be made, the first: {first['variant']}, seed {first['seed']}, "
            f"{first['item_id']}: {first['reason']}"
        )
    return found


def _grid(table: Mapping[str, Any], caption: str, what: str) -> Grid:
    shown = {name: variant[what] for name, variant in table["variants"].items() if variant[what] is not None}
    grid = Grid(caption, [("metric", ""), *((name, "") for name in shown)])
    for column, meta in table["columns"].items():
        arrow = "↑" if meta["direction"] == "higher" else "↓"
        cells = [_figure(grid, figures[column], meta, sign=what == "differences") for figures in shown.values()]
        grid.rows.append(GridRow(f"{column} {arrow}", "", cells))
    return grid


def _figure(grid: Grid, figure: Mapping[str, Any], meta: Mapping[str, Any], *, sign: bool) -> Cell:
    if figure["value"] is None:
        return grid.missing(figure["reason"])
    marks = [grid.mark(_UNPROVEN)] if meta["unproven"] else []
    if figure["reason"]:
        marks.append(grid.mark(figure["reason"]))
    better = {"variant": "*+", "baseline": "*-"}.get(figure.get("better", ""))
    if better:
        marks.append(better)
    return number_cell(figure["value"], figure["ci_low"], figure["ci_high"], sign=sign, marks=marks)
