"""Rows: one value, or null with a reason, for each item under each metric and backend."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nava.evaluation.benchmark.item import Item
from nava.evaluation.catalogue.scorers import SCORERS
from nava.evaluation.extraction.feature_cache import FeatureCache, Wish
from nava.evaluation.extraction.features import Features, UnmeasurableError
from nava.evaluation.run.cells import Column, subjects
from nava.evaluation.scoring.score import Score
from nava.runtime.hashing import canonical_json
from nava.runtime.storage import write_text

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


def item_features(
    column: Column,
    item: Item,
    outputs: Mapping[str, Path],
    cache: FeatureCache,
    failures: Mapping[Wish, str],
    missing: Mapping[str, str] | None = None,
) -> dict[str, Features]:
    """The features of each subject of a metric; `missing` says of items without an output why they have none.

    Raises:
        UnmeasurableError: a file is missing, or its features are.
    """
    found = {}
    for subject, path in subjects(column, item, outputs, cache).items():
        if path is None:
            raise UnmeasurableError((missing or {}).get(item.item_id) or "nothing was generated for this item")
        wish = Wish(path, column.backend.backend)
        features = cache.find(wish)
        if features is None:
            raise UnmeasurableError(failures.get(wish, "its features were not extracted"))
        found[subject] = features
    return found


def column_rows(
    column: Column,
    outputs: Mapping[str, Path],
    cache: FeatureCache,
    failures: Mapping[Wish, str],
    missing: Mapping[str, str] | None = None,
) -> list[Row]:
    """The rows of a column whose metric has a value for each item."""
    scorer = SCORERS[column.manifest.scorer]
    rows = []
    for item in column.items:
        try:
            score = scorer(item_features(column, item, outputs, cache, failures, missing), item)
        except UnmeasurableError as error:
            score = Score.missing(str(error))
        rows.append(_row(column, item, score, _sha256(cache, outputs.get(item.item_id))))
    return rows


def _row(column: Column, item: Item, score: Score, media_sha256: str | None) -> Row:
    manifest, backend = column.manifest, column.backend
    return Row(
        item.item_id, item.subset, manifest.metric_id, manifest.protocol, backend.backend, backend.tier,
        score.value, score.reason, media_sha256,
    )  # fmt: skip


def _sha256(cache: FeatureCache, path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        return cache.sha256(path)
    except UnmeasurableError:
        return None


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
