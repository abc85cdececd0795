"""Rows: one value, or null with a reason, for each item under each metric and backend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from nava.evaluation.benchmark.item import Item
from nava.evaluation.catalogue.scorers import SCORERS
from nava.evaluation.extraction.feature_cache import FeatureCache, Wish
from nava.evaluation.extraction.features import Features, UnmeasurableError
from nava.evaluation.run.cells import Column, subjects
from nava.evaluation.run.records import Row
from nava.evaluation.scoring.score import Score


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
