"""Score a set of outputs: extract what is missing, compute rows and figures, write the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from nava.evaluation.benchmark.item import Item
from nava.evaluation.benchmark.task import Task, manifest_sha256
from nava.evaluation.extraction.feature_cache import FeatureCache, Wish, extract_all
from nava.evaluation.run.cells import Absent, Column, columns, wishes
from nava.evaluation.run.figures import sample_figure, set_figure
from nava.evaluation.run.outputs import MAPPING_FILE, write_mapping
from nava.evaluation.run.records import ROWS_FILE, SCHEMA_VERSION, SUMMARY_FILE, Figure, Row, write_rows
from nava.evaluation.run.rows import column_rows
from nava.runtime.storage import atomic_folder, write_json

Watch = Callable[[Iterable[Any], int, str], Iterable[Any]]


@dataclass(frozen=True)
class ScoringSettings:
    """How a run works; nothing of it but `min_coverage` and `seed` is in the result.

    Attributes:
        workers: processes that extract.
        timeout_s: how long a file may take under all backends together.
        attempts: how often a file is tried that ends its worker.
        min_coverage: share of eligible items that must have a value; below it a figure has failed.
        seed: of the bootstrap.
    """

    workers: int = 2
    timeout_s: float = 600.0
    attempts: int = 2
    min_coverage: float = 0.9
    seed: int = 0


@dataclass(frozen=True)
class Scored:
    """What a run came to."""

    figures: tuple[Figure, ...]
    absent: tuple[Absent, ...]
    rows: tuple[Row, ...]
    failures: Mapping[Wish, str] = field(default_factory=dict)

    @property
    def uncovered(self) -> list[Figure]:
        """Figures that too few items have a value for."""
        return [figure for figure in self.figures if figure.eligible and not figure.covered]


def score_outputs(
    task: Task,
    items: Sequence[Item],
    outputs: Mapping[str, Path],
    cache: FeatureCache,
    settings: ScoringSettings,
    watch: Watch,
    metrics: Sequence[str] = (),
    missing: Mapping[str, str] | None = None,
) -> Scored:
    """Score files.

    Args:
        task: which metrics on which items.
        items: of the benchmark.
        outputs: the generated file of each item, by id; one that is missing is a row with its reason.
        cache: what is in it is not extracted again.
        settings: how.
        watch: shows progress.
        metrics: only these.
        missing: why items have no output, by id.
    """
    found, absent = columns(task, items, metrics, cache.configured)
    failures = extract_features(wishes(found, outputs, cache), cache, settings, watch)
    return score_columns(task, found, absent, outputs, cache, failures, settings, missing)


def score_columns(
    task: Task,
    found: Sequence[Column],
    absent: Sequence[Absent],
    outputs: Mapping[str, Path],
    cache: FeatureCache,
    failures: Mapping[Wish, str],
    settings: ScoringSettings,
    missing: Mapping[str, str] | None = None,
) -> Scored:
    """Rows and figures of columns whose features have been extracted.

    Args:
        task: says how figures are put together.
        found: the columns.
        absent: metrics that cannot be computed here, for the report.
        outputs: the generated file of each item, by id.
        cache: holds the features.
        failures: what could not be extracted, and why.
        settings: how.
        missing: why items have no output, by id.
    """
    rows: list[Row] = []
    figures: list[Figure] = []
    for column in found:
        if column.manifest.level == "set":
            figure = set_figure(column, outputs, cache, failures, settings.min_coverage, settings.seed, missing)
        else:
            own = column_rows(column, outputs, cache, failures, missing)
            rows += own
            figure = sample_figure(column, own, task.aggregation, settings.min_coverage, settings.seed)
        measured_by = cache.identity(column.backend.backend) if figure.n else ""
        figures.append(replace(figure, backend_sha256=measured_by))
    return Scored(tuple(figures), tuple(absent), tuple(rows), failures)


def extract_features(
    wanted: Iterable[Wish], cache: FeatureCache, settings: ScoringSettings, watch: Watch
) -> dict[Wish, str]:
    """Fill the cache; what could not be extracted, and why."""
    units = cache.units(wanted)
    done = extract_all(units, settings.workers, settings.timeout_s, settings.attempts)
    failures: dict[Wish, str] = {}
    for unit, extracted in watch(done, len(units), "files"):
        failures |= {Wish(unit.media, part.backend): part.reason for part in extracted if part.reason}
    return failures


def write_result(
    folder: Path,
    task: Task,
    items: Sequence[Item],
    scored: Scored,
    settings: ScoringSettings,
    model: str,
    names: Mapping[str, str] | None = None,
    package_sha256: str | None = None,
) -> None:
    """Write `rows.jsonl` and, last, `summary.json`; nothing in them depends on time, place or number of workers.

    Args:
        names: the file of each item, relative to the folder of outputs; kept in `outputs.jsonl` for reports.
        package_sha256: of the package that made the files; None if that is not known here.
    """
    with atomic_folder(folder) as part:
        write_rows(part / ROWS_FILE, scored.rows)
        if names is not None:
            write_mapping(part / MAPPING_FILE, names)
        write_json(
            part / SUMMARY_FILE,
            {
                "schema_version": SCHEMA_VERSION,
                "model": model,
                "package_sha256": package_sha256,
                "task": task.column,
                "edition": task.edition,
                "title": task.title,
                "manifest_sha256": manifest_sha256(task, items),
                "items": len(items),
                "min_coverage": settings.min_coverage,
                "seed": settings.seed,
                "figures": [{**asdict(figure), "coverage": figure.coverage} for figure in scored.figures],
                "absent": [asdict(absent) for absent in scored.absent],
            },
        )
