"""A result as a gate reads it: both files hashed and read once, and found to belong together."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nava.evaluation.run.records import ROWS_FILE, SCHEMA_VERSION, SUMMARY_FILE, Figure, Row, by_column
from nava.runtime.errors import InputError
from nava.runtime.hashing import is_sha256, sha256_bytes

_TEXTS = ("model", "task", "edition", "manifest_sha256")
_NUMBERS = ("value", "ci_low", "ci_high")
# Of a mean that is written with all its digits and added up again in another order.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class ResultFiles:
    """A result of `nava eval score`.

    Attributes:
        figures: by column.
        absent: metrics of the task that were not measured, (metric, backend) to the reason.
        rows: of each column, by item.
        package_sha256: of the package that made what was scored; None if the result does not say.
        summary_sha256, rows_sha256: of the files' bytes that all this was read from.
    """

    folder: Path
    model: str
    task: str
    edition: str
    manifest_sha256: str
    items: int
    figures: Mapping[str, Figure]
    absent: Mapping[tuple[str, str], str]
    rows: Mapping[str, Mapping[str, Row]]
    summary_sha256: str
    rows_sha256: str
    package_sha256: str | None = None

    def values(self, column: str) -> dict[str, float]:
        """The values of a column by item; items without one are left out."""
        rows = self.rows.get(column, {})
        return {item: row.value for item, row in rows.items() if row.value is not None}


def read_result_files(folder: Path) -> ResultFiles:
    """Read and check a result.

    Raises:
        InputError: a file is missing or not of this schema, or rows and figures are not of one run; the message names
            file and field.
    """
    summary_bytes, rows_bytes = _bytes(folder / SUMMARY_FILE), _bytes(folder / ROWS_FILE)
    where = str(folder / SUMMARY_FILE)
    summary = _json(summary_bytes, where)
    if not isinstance(summary, dict) or summary.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{where}: schema_version must be {SCHEMA_VERSION}: it is no result of `nava eval score`")
    for name in _TEXTS:
        if not isinstance(summary.get(name), str):
            raise InputError(f"{where}: {name} is {summary.get(name)!r}; it must be text")
    package_sha256 = summary.get("package_sha256")
    if package_sha256 is not None and not is_sha256(str(package_sha256)):
        raise InputError(f"{where}: package_sha256 is {package_sha256!r}; it must be 64 lower-case hex digits or null")
    figures = _figures(summary, where)
    rows = _rows(rows_bytes, folder / ROWS_FILE)
    for figure in figures.values():
        if figure.level != "set":
            _require_rows(figure, rows.get(figure.column, {}), folder)
    return ResultFiles(
        folder=folder,
        **{name: summary[name] for name in _TEXTS},
        items=_count(summary, "items", where),
        figures=figures,
        absent=_absent(summary, where),
        rows=rows,
        summary_sha256=sha256_bytes(summary_bytes),
        rows_sha256=sha256_bytes(rows_bytes),
        package_sha256=package_sha256,
    )


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.parent} holds no result of `nava eval`: no {path.name} to be read in it") from error


def _json(text: bytes | str, where: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{where} is not JSON: {error}") from error


def _figures(summary: Mapping[str, Any], where: str) -> dict[str, Figure]:
    found: dict[str, Figure] = {}
    names = {item.name for item in fields(Figure)}
    for number, value in enumerate(summary.get("figures") or []):
        place = f"{where}: figures[{number}]"
        # Earlier releases did not note the backend's hash.
        if not isinstance(value, dict) or {*value, "backend_sha256"} - {"coverage"} != names:
            raise InputError(f"{place} does not have the fields of a figure: {', '.join(sorted(names))}")
        for name in _NUMBERS:
            _require_number(value[name], f"{place}.{name}")
        if _count(value, "n", place) > _count(value, "eligible", place):
            raise InputError(f"{place}.n is {value['n']}, more than the {value['eligible']} eligible items")
        for name in ("covered", "unproven"):
            if not isinstance(value[name], bool):
                raise InputError(f"{place}.{name} is {value[name]!r}; it must be true or false")
        if value["column"] != f"{value['metric']}[{value['backend']}]" or value["column"] in found:
            raise InputError(f"{place}.column is {value['column']!r}: not its metric and backend, or there twice")
        found[value["column"]] = Figure(**{name: value[name] for name in names & set(value)})
    return found


def _absent(summary: Mapping[str, Any], where: str) -> dict[tuple[str, str], str]:
    try:
        return {(entry["metric"], entry["backend"]): str(entry["reason"]) for entry in summary.get("absent") or []}
    except (KeyError, TypeError) as error:
        raise InputError(f"{where}: absent must list objects with metric, backend and reason") from error


def _rows(content: bytes, path: Path) -> dict[str, dict[str, Row]]:
    rows = []
    # Not splitlines: a reason may hold characters that it takes for ends of lines.
    for number, line in enumerate(content.decode(errors="replace").removesuffix("\n").split("\n"), start=1):
        if not line and number == 1:
            break
        where = f"{path}: line {number}"
        try:
            row = Row(**_json(line, where))
        except TypeError as error:
            raise InputError(f"{where} does not have the fields of a row: {error}") from error
        _require_number(row.value, f"{where}: value")
        rows.append(row)
    found: dict[str, dict[str, Row]] = {}
    for column, own in by_column(rows).items():
        found[column] = {row.item_id: row for row in own}
        if len(found[column]) != len(own):
            raise InputError(f"{path}: {column} has two rows for one item")
    return found


def _require_rows(figure: Figure, rows: Mapping[str, Row], folder: Path) -> None:
    """A figure must be what its rows come to: else the two files are of two runs, or one was changed."""
    values = {item: row.value for item, row in rows.items() if row.value is not None}
    by_subset: dict[str, list[float]] = {}
    for item, value in values.items():
        by_subset.setdefault(rows[item].subset, []).append(value)
    subset_means = [sum(part) / len(part) for part in by_subset.values()]
    # Which of the two the task asks for is not in the summary.
    means = [sum(values.values()) / len(values), sum(subset_means) / len(subset_means)] if values else []
    fits = figure.value is None if not means else figure.value is not None and _is_one_of(figure.value, means)
    counted = (len(values), len(rows)) == (figure.n, figure.eligible)
    protocols = {row.protocol for row in rows.values()} <= {figure.protocol}
    if not (fits and counted and protocols):
        raise InputError(
            f"{folder}: {figure.column} is {figure.value} over {figure.n} of {figure.eligible} items in "
            f"{SUMMARY_FILE}, which is not what {ROWS_FILE} comes to ({len(values)} of {len(rows)} items): "
            "score the outputs again"
        )


def _is_one_of(value: float, means: list[float]) -> bool:
    return any(math.isclose(value, mean, rel_tol=_ROUNDING, abs_tol=_ROUNDING) for mean in means)


def _require_number(value: Any, where: str) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if value is not None and not number:
        raise InputError(f"{where} is {value!r}; it must be a finite number or null")


def _count(value: Mapping[str, Any], name: str, where: str) -> int:
    found = value.get(name)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise InputError(f"{where}.{name} is {found!r}; it must be a whole number, 0 or more")
    return found
