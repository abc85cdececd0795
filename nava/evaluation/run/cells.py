"""Which scores a run wants: every eligible item under every metric and backend of the task."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nava.evaluation.benchmark.item import NEEDS, Item
from nava.evaluation.benchmark.task import Task
from nava.evaluation.catalogue.manifest import Backend, MetricManifest, catalogue
from nava.evaluation.extraction.extractor import ENTRIES, needs_weights
from nava.evaluation.extraction.feature_cache import FeatureCache, Wish


@dataclass(frozen=True)
class Column:
    """A metric by one backend, and the items it is computed on."""

    manifest: MetricManifest
    backend: Backend
    items: tuple[Item, ...]

    @property
    def name(self) -> str:
        """What the column is called."""
        return self.manifest.column(self.backend.backend)


@dataclass(frozen=True)
class Absent:
    """A metric of the task that cannot be computed here, and why: it is in every report."""

    metric: str
    backend: str
    reason: str


def columns(
    task: Task, items: Sequence[Item], metrics: Sequence[str] = (), configured: Collection[str] = ()
) -> tuple[list[Column], list[Absent]]:
    """The columns of a run, and what is missing for the others.

    Args:
        task: which metrics, on which items.
        items: of the benchmark.
        metrics: only these; empty for all of the task.
        configured: backends that have settings, and so weights.
    """
    found: list[Column] = []
    absent: list[Absent] = []
    for routing in task.metrics:
        manifest = catalogue()[routing.metric]
        if metrics and manifest.metric_id not in metrics:
            continue
        eligible = tuple(item for item in items if routing.takes(item) and _has(manifest, item))
        for backend in manifest.backends:
            if routing.backends and backend.backend not in routing.backends:
                continue
            if reason := _unavailable(backend, configured):
                absent.append(Absent(manifest.metric_id, backend.backend, reason))
            else:
                found.append(Column(manifest, backend, eligible))
    return found, absent


def _has(manifest: MetricManifest, item: Item) -> bool:
    return all(NEEDS[need](item) for need in manifest.item_needs)


def _unavailable(backend: Backend, configured: Collection[str]) -> str:
    entry = ENTRIES.get(backend.backend)
    if entry is None:
        return "this release has no extractor for it"
    if missing := entry.missing():
        return f"package {', '.join(missing)} is not installed: pip install {' '.join(missing)}"
    if needs_weights(backend.backend) and backend.backend not in configured:
        return "no weights are configured for it: name them in the file of --backends"
    return ""


def subjects(column: Column, item: Item, outputs: Mapping[str, Path], cache: FeatureCache) -> dict[str, Path | None]:
    """The file of each subject of the metric; None for an output that was not made."""
    files = {
        "generated": outputs.get(item.item_id),
        "reference_audio": item.reference_audio,
        "reference_voice": item.reference_voice,
        "first_frame": item.first_frame,
    }
    if "text" in column.manifest.subjects:
        files["text"] = cache.text_file(item.audio_prompt)
    return {subject: files[subject] for subject in column.manifest.subjects}


def wishes(found: Sequence[Column], outputs: Mapping[str, Path], cache: FeatureCache) -> Iterator[Wish]:
    """All features that the columns need."""
    for column in found:
        for item in column.items:
            for path in subjects(column, item, outputs, cache).values():
                if path is not None:
                    yield Wish(path, column.backend.backend)
