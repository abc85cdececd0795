"""The paper's two ablation tables in its layout: published rows, and rows measured here with intervals.

A column of the paper has a number measured here only if the very metric was computed by its paper-grade backend. What
an embedded backend measured stands in a table of its own, under its own name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from nava.evaluation.published.grid import MEASURED, PUBLISHED, Cell, Grid, GridRow, number_cell
from nava.evaluation.published.measured_cell import direction_of, measured_cell
from nava.evaluation.sweep.sweep_grids import sweep_grids
from nava.runtime.errors import InputError

LAYOUTS = Path(__file__).parent / "layouts"
DIFFERENCE = "difference"
SIDES = ("without", "with")
_LOSSES = {
    "video_loss": ("Video loss (held out)", "lower"),
    "audio_loss": ("Audio loss (held out)", "lower"),
    "synchrony_gap": ("Synchrony gap", "higher"),
}


def layout(name: str) -> dict[str, Any]:
    """A published table, `guidance` or `architecture`."""
    import yaml

    value: dict[str, Any] = yaml.safe_load((LAYOUTS / f"{name}.yaml").read_text(encoding="utf-8"))
    return value


def guidance_grids(tables: Sequence[Mapping[str, Any]]) -> list[Grid]:
    """The guidance ablation: a block for alignment, one for timbre, then what embedded metrics gave.

    Args:
        tables: of sweeps, each with the blocks that its `layout` names.

    Raises:
        InputError: a sweep names a block that the paper does not have, two name the same, or none names any.
    """
    published = layout("guidance")
    blocks: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {}
    for table in tables:
        for entry in table["layout"]:
            name = entry["block"]
            if name not in published["blocks"] or name in blocks:
                problem = "is there twice" if name in blocks else f"is none of {', '.join(published['blocks'])}"
                raise InputError(f"sweep {table['sweep']}: block {name!r} of its layout {problem}")
            blocks[name] = (table, entry)
    if not blocks:
        raise InputError(
            "no sweep says which variants are the paper's rows; give the sweep file `layout: "
            "[{block: align, without: VARIANT, with: VARIANT}]` and run it again (finished clips are kept)"
        )
    grids = [
        _guidance_block(value, published["source"], *blocks.get(name, (None, None)))
        for name, value in published["blocks"].items()
    ]
    return [*grids, *(grid for table in tables for grid in sweep_grids(table))]


def _guidance_block(
    block: Mapping[str, Any], source: str, table: Mapping[str, Any] | None, entry: Mapping[str, Any] | None
) -> Grid:
    metrics = block["columns"]
    grid = Grid(block["title"], [("", ""), *((title, direction_of(metric)) for title, metric in metrics.items())])
    for side in SIDES:
        row = block["rows"][side]
        grid.rows.append(GridRow(row["label"], PUBLISHED, _published(metrics, row["values"])))
    grid.remarks.append(f"Published: {source}. Its metric implementations are not stated.")
    if table is None or entry is None:
        grid.remarks.append("Not measured here: no sweep that was given has this block.")
        return grid
    for side in SIDES:
        variant = entry[f"{side}_variant"]
        figures = table["variants"][variant]["figures"]
        cells = [measured_cell(grid, m, table["columns"], figures, table["absent"]) for m in metrics.values()]
        grid.rows.append(GridRow(f"{block['rows'][side]['label']}: {variant}", MEASURED, cells))
    cells = [
        measured_cell(grid, metric, table["columns"], entry["differences"], table["absent"], sign=True)
        for metric in metrics.values()
    ]
    grid.rows.append(GridRow("with - without, paired", DIFFERENCE, cells))
    grid.remarks.append(
        f"Measured: {table['model']}, {table['task']}, {table['items']} items, seeds {_listed(table['seeds'])}; "
        "95 % intervals over items and seeds, differences paired."
    )
    return grid


def architecture_grids(table: Mapping[str, Any], scored: Mapping[str, Mapping[str, Any]] | None = None) -> list[Grid]:
    """The architecture ablation: the paper's columns, then what the ablation of this project measures.

    Args:
        table: `ablation.json` of `nava pipeline run ablation`.
        scored: by variant, `summary.json` of its outputs scored under the paper's metrics, where there is one.

    Raises:
        InputError: a scored variant is none of the ablation's, or they are of different items.
    """
    scored = scored or {}
    if unknown := set(scored) - set(table["variants"]):
        raise InputError(f"the ablation has no variant {_listed(sorted(unknown))}; it has {_listed(table['variants'])}")
    if len({summary["manifest_sha256"] for summary in scored.values()}) > 1:
        raise InputError("the results of the variants are of different tasks or items: they cannot share a column")
    published = layout("architecture")
    return [_architecture_paper(table, scored, published), _architecture_losses(table)]


def _architecture_paper(
    table: Mapping[str, Any], scored: Mapping[str, Mapping[str, Any]], published: Mapping[str, Any]
) -> Grid:
    metrics = published["columns"]
    head = [("", ""), ("HAL", ""), ("UFL", ""), ("Params", "")]
    grid = Grid("Architecture ablation", [*head, *((title, direction_of(metric)) for title, metric in metrics.items())])
    labels = {}
    for row in published["rows"]:
        kinds = [Cell("yes" if row[kind] else "no") for kind in ("hal", "ufl")]
        labels[row["variant"]] = kinds
        cells = [*kinds, Cell(row["parameters"]), *_published(metrics, row["values"])]
        grid.rows.append(GridRow(table["variants"][row["variant"]]["label"], PUBLISHED, cells))
    for name in (*labels, *(name for name in table["variants"] if name not in labels)):
        variant = table["variants"][name]
        kinds = labels.get(name) or [grid.missing("another arrangement, which the paper's table has not")] * 2
        summary = scored.get(name)
        if summary is None:
            why = "no clips of this model were scored; the ablation compares held-out losses, below"
            cells = [grid.missing(why)] * len(metrics)
        else:
            figures = {figure["column"]: figure for figure in summary["figures"]}
            cells = [measured_cell(grid, m, figures, figures, summary["absent"]) for m in metrics.values()]
        grid.rows.append(GridRow(variant["label"], MEASURED, [*kinds, Cell(_millions(variant["parameters"])), *cells]))
    grid.remarks = [f"Published: {published['source']}. Its metric implementations are not stated."]
    return grid


def _architecture_losses(table: Mapping[str, Any]) -> Grid:
    reference = table["variants"][table["reference"]]["label"]
    head = [("", ""), ("Params", "")]
    for title, direction in _LOSSES.values():
        head += [(title, direction), (f"difference from {reference}", "")]
    grid = Grid(f"What this project's ablation measures, n = {table['n']} seeds", head)
    for variant in table["variants"].values():
        cells = [Cell(_millions(variant["parameters"]))]
        for key in _LOSSES:
            cells.append(_estimate(grid, variant["figures"][key]))
            difference = variant["differences"][key]
            cells.append(Cell("") if difference is None else _estimate(grid, difference, sign=True))
        grid.rows.append(GridRow(variant["label"], MEASURED, cells))
    held = "held out" if table["split"] == "heldout" else "of training"
    grid.remarks = [
        f"Mean over seeds {_listed(table['seeds'])} with 95 % intervals of Student's t; differences seed by seed; "
        f"{table['clips']} clips, {held}. Losses are no metric of the paper."
    ]
    return grid


def _published(metrics: Mapping[str, str], values: Mapping[str, str]) -> list[Cell]:
    """Numbers with the digits that the paper has."""
    return [Cell(values[title]) for title in metrics]


def _estimate(grid: Grid, estimate: Mapping[str, Any], *, sign: bool = False) -> Cell:
    if estimate["value"] is None:
        return grid.missing("not measured for every seed")
    return number_cell(estimate["value"], estimate["ci_low"], estimate["ci_high"], sign=sign)


def _listed(names: Iterable[object]) -> str:
    return ", ".join(map(str, names))


def _millions(count: int) -> str:
    return f"{count / 1e9:.3g} B" if count >= 1e9 else f"{count / 1e6:.4g} M"
