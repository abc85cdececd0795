"""Which scores a run wants: every eligible item under every metric and backend of the task."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nava.evaluation.benchmark.item import NEEDS, Item
from nava.evaluation.benchmark.task import Routing, Task
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


def routed(task: Task, metrics: Sequence[str] = ()) -> Iterator[tuple[Routing, MetricManifest, Backend]]:
    """Every metric and backend that a task asks for, in the order of its report; of these metrics only, if given."""
    for routing in task.metrics:
        manifest = catalogue()[routing.metric]
        if metrics and manifest.metric_id not in metrics:
            continue
        for backend in manifest.backends:
            if not routing.backends or backend.backend in routing.backends:
                yield routing, manifest, backend


def columns(
    task: Task,
    items: Sequence[Item],
    metrics: Sequence[str] = (),
    configured: Collection[str] = (),
    backends: Collection[str] | None = None,
) -> tuple[list[Column], list[Absent]]:
    """The columns of a run, and what is missing for the others.

    Args:
        task: which metrics, on which items.
        items: of the benchmark.
        metrics: only these; empty for all of the task.
        configured: backends that have settings, and so weights.
        backends: only by these; None for all.
    """
    found: list[Column] = []
    absent: list[Absent] = []
    for routing, manifest, backend in routed(task, metrics):
        if backends is not None and backend.backend not in backends:
            continue
        if reason := unavailable(backend.backend, configured):
            absent.append(Absent(manifest.metric_id, backend.backend, reason))
        else:
            eligible = tuple(item for item in items if routing.takes(item) and _has(manifest, item))
            found.append(Column(manifest, backend, eligible))
    return found, absent


def _has(manifest: MetricManifest, item: Item) -> bool:
    return all(NEEDS[need](item) for need in manifest.item_needs)


def unavailable(backend: str, configured: Collection[str]) -> str:
    """Why a backend cannot be used here; empty if it can."""
    entry = ENTRIES.get(backend)
    if entry is None:
        return "this release has no extractor for it"
    if reason := entry.unavailable():
        return reason
    if needs_weights(backend) and backend not in configured:
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
