"""The table of a sweep: every variant under every metric, and its paired difference from the baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nava.evaluation.benchmark.item import Item
from nava.evaluation.benchmark.task import Task, manifest_sha256
from nava.evaluation.run.records import ROWS_FILE, by_column, read_rows, read_summary
from nava.evaluation.run.score import ScoringSettings
from nava.evaluation.sweep.crossed import crossed_mean, seed_mean
from nava.evaluation.sweep.run import Cell
from nava.evaluation.sweep.sweep import Sweep
from nava.runtime.errors import InputError
from nava.runtime.storage import read_json, write_json

SCHEMA_VERSION = 1
TABLE_FILE = "sweep.json"
_OF_COLUMN = ("metric", "protocol", "backend", "tier", "unit", "direction", "level", "unproven")
_ONE_SEED = "a distance of sets with one seed has no paired interval: give the sweep more seeds"
Values = NDArray[np.float64]


@dataclass(frozen=True)
class _Data:
    """Values by variant and column, [items, seeds], or [seeds] of metrics of sets; weights [items] by column;
    why values are missing, by column."""

    figures: Mapping[str, Mapping[str, Any]]
    values: Mapping[str, Mapping[str, Values]]
    eligible: Mapping[str, int]
    weights: Mapping[str, Values]
    why: Mapping[str, str]
    settings: ScoringSettings


def tabulate(
    sweep: Sweep, task: Task, items: Sequence[Item], cells: Sequence[Cell], model: str, settings: ScoringSettings
) -> dict[str, Any]:
    """The table, as `sweep.json` has it.

    Each figure is {value, ci_low, ci_high, n, eligible, covered, reason}: `n` clips with a value of `eligible`, and no
    value with a reason if there are too few. A difference is variant minus baseline of the same item and seed, over
    those that both have a value for; `better` is empty if its interval holds 0.
    """
    data = _data(task, items, cells, settings)
    summaries = [read_summary(cell.result) for cell in cells]
    return {
        "schema_version": SCHEMA_VERSION,
        "sweep": sweep.sweep_id,
        "sweep_sha256": sweep.sha256,
        "title": sweep.title,
        "model": model,
        "task": task.column,
        "manifest_sha256": manifest_sha256(task, items),
        "items": len(items),
        "seeds": list(sweep.seeds),
        "baseline": sweep.baseline,
        "min_coverage": settings.min_coverage,
        "columns": {name: {key: figure[key] for key in _OF_COLUMN} for name, figure in data.figures.items()},
        "absent": list({(e["metric"], e["backend"]): e for summary in summaries for e in summary["absent"]}.values()),
        "failures": [
            {"variant": cell.variant, "seed": cell.seed, "item_id": item, "reason": reason}
            for cell in cells
            for item, reason in sorted(cell.failures.items())
        ],
        "variants": {
            variant.name: {
                "settings": dict(variant.settings),
                "figures": {name: _figure(data, name, data.values[variant.name][name]) for name in data.figures},
                "differences": None
                if variant.name == sweep.baseline
                else _differences(data, variant.name, sweep.baseline),
            }
            for variant in sweep.variants
        },
        "layout": [
            {**asdict(block), "differences": _differences(data, block.with_variant, block.without_variant)}
            for block in sweep.layout
        ],
    }


def write_table(folder: Path, table: Mapping[str, Any]) -> None:
    """Write `sweep.json`, `table.md` and `table.tex`."""
    from nava.evaluation.published.grid import latex, markdown
    from nava.evaluation.sweep.sweep_grids import sweep_grids
    from nava.runtime.storage import write_text

    grids = sweep_grids(table)
    write_json(folder / TABLE_FILE, table)
    write_text(folder / "table.md", "\n".join(map(markdown, grids)))
    write_text(folder / "table.tex", "\n".join(map(latex, grids)))


def read_table(path: Path) -> dict[str, Any]:
    """The table of a finished sweep: its file, or a folder that holds it. InputError where there is none."""
    places = (path,) if path.is_file() else (path / TABLE_FILE, path / "result" / TABLE_FILE)
    for place in places:
        if place.is_file():
            value: dict[str, Any] = read_json(place)
            if value.get("schema_version") != SCHEMA_VERSION or "baseline" not in value:
                raise InputError(f"{place} is no table of `nava eval sweep` of schema version {SCHEMA_VERSION}")
            return value
    raise InputError(f"{path} holds no {TABLE_FILE}; `nava eval sweep` writes one")


def _data(task: Task, items: Sequence[Item], cells: Sequence[Cell], settings: ScoringSettings) -> _Data:
    seeds = list(dict.fromkeys(cell.seed for cell in cells))
    position = {item.item_id: number for number, item in enumerate(items)}
    figures: dict[str, dict[str, Any]] = {}
    values: dict[str, dict[str, Values]] = {cell.variant: {} for cell in cells}
    eligible: dict[str, int] = {}
    weights: dict[str, Values] = {}
    why: dict[str, str] = {}
    for cell in cells:
        rows = by_column(read_rows(cell.result / ROWS_FILE))
        for figure in read_summary(cell.result)["figures"]:
            name = figure["column"]
            figures.setdefault(name, figure)
            if most := figure["reason"].partition("mostly: ")[2]:
                why.setdefault(name, most)
            column = seeds.index(cell.seed)
            if figure["level"] == "set":
                eligible[name] = len(seeds)
                values_S = values[cell.variant].setdefault(name, np.full(len(seeds), np.nan))
                values_S[column] = figure["value"] if figure["value"] is not None and figure["covered"] else np.nan
                continue
            own = rows.get(name, [])
            eligible[name] = len(own) * len(seeds)
            weights.setdefault(name, _weights(task, items, {row.item_id for row in own}))
            values_NS = values[cell.variant].setdefault(name, np.full((len(items), len(seeds)), np.nan))
            for row in own:
                values_NS[position[row.item_id], column] = np.nan if row.value is None else row.value
    return _Data(figures, values, eligible, weights, why, settings)


def _weights(task: Task, items: Sequence[Item], own: set[str]) -> Values:
    """One for each item; where the task takes the mean of its subsets' means, all items of a subset weigh one."""
    if task.aggregation == "items":
        return np.ones(len(items))
    sizes: dict[str, int] = {}
    for item in items:
        sizes[item.subset] = sizes.get(item.subset, 0) + (item.item_id in own)
    return np.array([1.0 / max(1, sizes[item.subset]) for item in items])


def _figure(data: _Data, name: str, values: Values) -> dict[str, Any]:
    if values.ndim == 1:
        value, low, high, n = seed_mean(values)
    else:
        value, low, high, n = crossed_mean(values, data.weights[name], data.settings.seed)
    eligible = data.eligible[name]
    covered = bool(eligible) and n >= data.settings.min_coverage * eligible
    reason = ""
    if not eligible:
        reason = "no item of the sweep is eligible"
    elif not covered:
        reason = f"only {n} of {eligible} have a value, {data.settings.min_coverage:.0%} must"
        reason += f"; mostly: {data.why[name]}" if name in data.why else ""
    if not covered:
        value = low = high = None
    return {
        "value": value, "ci_low": low, "ci_high": high, "n": n, "eligible": eligible, "covered": covered,
        "reason": reason,
    }  # fmt: skip


def _differences(data: _Data, variant: str, other: str) -> dict[str, Any]:
    found = {}
    for name, meta in data.figures.items():
        figure = _figure(data, name, data.values[variant][name] - data.values[other][name])
        if meta["level"] == "set" and figure["value"] is not None and figure["ci_low"] is None:
            figure["reason"] = _ONE_SEED
        found[name] = {**figure, "better": _better(figure, meta["direction"])}
    return found


def _better(difference: Mapping[str, Any], direction: str) -> str:
    """`variant` or `baseline`, or empty if the interval holds 0 or there is none."""
    low, high = difference["ci_low"], difference["ci_high"]
    if low is None or low <= 0 <= high:
        return ""
    return "variant" if (low > 0) == (direction == "higher") else "baseline"
