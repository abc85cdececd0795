"""What a result's files hold: rows and figures. Reading them takes nothing of what measures."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nava.runtime.errors import InputError
from nava.runtime.hashing import canonical_json
from nava.runtime.storage import read_json, write_text

SCHEMA_VERSION = 1
SUMMARY_FILE = "summary.json"
ROWS_FILE = "rows.jsonl"


@dataclass(frozen=True)
class Row:
    """One score.

    Attributes:
        value: finite, or None.
        reason: why there is no value; empty otherwise.
        media_sha256: of the generated file; None if it is missing.
    """

    item_id: str
    subset: str
    metric: str
    protocol: str
    backend: str
    tier: str
    value: float | None
    reason: str = ""
    media_sha256: str | None = None


@dataclass(frozen=True)
class Figure:
    """A number of a report.

    Attributes:
        column: metric and backend.
        value: None if nothing could be measured, with the reason.
        ci_low, ci_high: 95 % bootstrap over items; None with fewer than two.
        n: items with a value; eligible: items that should have one.
        covered: whether enough of them have one.
        unproven: whether the backend has never run on its real weights.
        backend_sha256: of the backend's version, the bytes of its weights and its environment; empty where nothing
            was measured, and in results of releases that did not note it.
    """

    column: str
    metric: str
    protocol: str
    backend: str
    tier: str
    unit: str
    direction: str
    level: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    n: int
    eligible: int
    covered: bool
    unproven: bool
    reason: str = ""
    reasons: Mapping[str, int] | None = None
    backend_sha256: str = ""

    @property
    def coverage(self) -> float:
        """Share of eligible items with a value; 0 without any."""
        return self.n / self.eligible if self.eligible else 0.0


def measured_differently(backends_sha256: Iterable[str | None]) -> bool:
    """Whether figures are by several versions, weights or environments of their backend, as far as they say."""
    return len(set(backends_sha256) - {None, ""}) > 1


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """All rows in an order of their own, so that the file does not depend on how they came about."""
    ordered = sorted(rows, key=lambda row: (row.metric, row.backend, row.item_id))
    write_text(path, "".join(canonical_json(asdict(row)) + "\n" for row in ordered))


def read_rows(path: Path) -> list[Row]:
    """The rows of a run."""
    with path.open(encoding="utf-8") as lines:
        return [Row(**json.loads(line)) for line in lines]


def by_column(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by the name of their column."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(f"{row.metric}[{row.backend}]", []).append(row)
    return found


def read_summary(folder: Path) -> dict[str, Any]:
    """The summary of a run. InputError where there is no complete result."""
    try:
        value: dict[str, Any] = read_json(folder / SUMMARY_FILE)
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no result of `nava eval`: it has no {SUMMARY_FILE}") from error
    return value
