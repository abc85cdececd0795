"""A sweep's run: the clips of each variant and seed made and scored; what is finished is not done again.

OUT/features/                            of all variants
OUT/variants/NAME/seed-N/clips/          the clips
OUT/variants/NAME/seed-N/result/         rows.jsonl and summary.json, as `nava eval score` writes them
OUT/variants/NAME/seed-N/cell.json       written last: what it is of, and what could not be made
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from nava.evaluation.benchmark.item import Item
from nava.evaluation.benchmark.task import Task, manifest_sha256
from nava.evaluation.extraction.feature_cache import FeatureCache
from nava.evaluation.run.cells import columns, wishes
from nava.evaluation.run.outputs import find_outputs
from nava.evaluation.run.records import SUMMARY_FILE
from nava.evaluation.run.score import Scored, ScoringSettings, Watch, extract_features, score_columns, write_result
from nava.evaluation.sweep.sweep import Sweep, Variant
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import read_json, write_json

SCHEMA_VERSION = 1
VARIANTS, CLIPS, RESULT, CELL_FILE = "variants", "clips", "result", "cell.json"
Tell = Callable[[str], None]


class Maker(Protocol):
    """Makes the clips of a variant, named by their items, and keeps those that are finished."""

    @property
    def identity(self) -> str:
        """Changes with everything that changes the clips, but variant, items and seed."""

    @property
    def model(self) -> str:
        """Whose clips they are."""

    def __call__(self, variant: Variant, seed: int, items: Sequence[Item], folder: Path) -> Mapping[str, str]:
        """Make what is missing in the folder; reasons, by item, of what could not be made."""


@dataclass(frozen=True)
class Cell:
    """A variant with a seed, made and scored.

    Attributes:
        result: folder of rows and summary.
        failures: why items could not be made, by item.
        kept: whether it was there already.
    """

    variant: str
    seed: int
    result: Path
    failures: Mapping[str, str]
    kept: bool


def run_sweep(
    sweep: Sweep,
    task: Task,
    items: Sequence[Item],
    maker: Maker,
    out: Path,
    cache: FeatureCache,
    settings: ScoringSettings,
    watch: Watch,
    tell: Tell,
) -> list[Cell]:
    """Make and score every variant with every seed.

    Args:
        sweep: what to try.
        task: the benchmark's.
        items: those that the sweep selects.
        maker: makes clips.
        out: folder of the sweep; killed, the same call goes on.
        cache: features, which variants share.
        settings: of scoring.
        watch: shows progress of scoring.
        tell: is told what each cell came to.

    Raises:
        InputError: no item is selected, or a metric is none of the task.
    """
    if not items:
        raise InputError(f"sweep {sweep.sweep_id}: items selects none of the task's items")
    known = [routing.metric for routing in task.metrics]
    if unknown := set(sweep.metrics) - set(known):
        raise InputError(
            f"sweep {sweep.sweep_id}: task {task.task_id} has no metric {', '.join(sorted(unknown))}; "
            f"it has {', '.join(known)}"
        )
    shared = _shared(sweep, task, items, maker, cache, settings)
    cells = []
    for variant in sweep.variants:
        for seed in sweep.seeds:
            folder = cell_folder(out, variant.name, seed)
            key = sha256_json({**shared, "settings": dict(variant.settings), "seed": seed})
            cell = _kept(folder, variant, seed, key)
            if cell is None:
                tell(f"{variant.name}, seed {seed}: making {len(items)} clips")
                failures = dict(maker(variant, seed, items, folder / CLIPS))
                scored = _score(folder / CLIPS, task, items, failures, cache, settings, watch, sweep.metrics)
                write_result(folder / RESULT, task, items, scored, settings, f"{maker.model}, {variant.name}")
                write_json(folder / CELL_FILE, {"schema_version": SCHEMA_VERSION, "key": key, "failures": failures})
                cell = Cell(variant.name, seed, folder / RESULT, failures, kept=False)
            tell(f"{variant.name}, seed {seed}: {_outcome(cell)}")
            cells.append(cell)
    return cells


def cell_folder(out: Path, variant: str, seed: int) -> Path:
    """Where a cell lies."""
    return out / VARIANTS / variant / f"seed-{seed}"


def _outcome(cell: Cell) -> str:
    if cell.kept:
        return "finished already"
    return f"scored; {len(cell.failures)} items could not be made" if cell.failures else "scored"


def _shared(
    sweep: Sweep, task: Task, items: Sequence[Item], maker: Maker, cache: FeatureCache, settings: ScoringSettings
) -> dict[str, Any]:
    """What decides the results of all cells."""
    found, absent = columns(task, items, sweep.metrics, cache.configured)
    return {
        "schema_version": SCHEMA_VERSION,
        "maker": maker.identity,
        "manifest_sha256": manifest_sha256(task, items),
        "min_coverage": settings.min_coverage,
        "bootstrap_seed": settings.seed,
        "columns": [
            [column.name, column.manifest.protocol, cache.identity(column.backend.backend)] for column in found
        ],
        "absent": [[entry.metric, entry.backend, entry.reason] for entry in absent],
    }  # fmt: skip


def _kept(folder: Path, variant: Variant, seed: int, key: str) -> Cell | None:
    """The cell if it is finished; one of which items could not be made is tried again."""
    try:
        found = read_json(folder / CELL_FILE)
    except (FileNotFoundError, ValueError):
        return None
    if found.get("key") != key or found.get("failures") or not (folder / RESULT / SUMMARY_FILE).is_file():
        return None
    return Cell(variant.name, seed, folder / RESULT, {}, kept=True)


def _score(
    clips: Path,
    task: Task,
    items: Sequence[Item],
    failures: Mapping[str, str],
    cache: FeatureCache,
    settings: ScoringSettings,
    watch: Watch,
    metrics: Sequence[str],
) -> Scored:
    """Rows and figures of a folder of clips; an item that could not be made has a row with the reason."""
    outputs, _ = find_outputs(clips, items)
    found, absent = columns(task, items, metrics, cache.configured)
    unread = extract_features(wishes(found, outputs, cache), cache, settings, watch)
    return score_columns(task, found, absent, outputs, cache, unread, settings, missing=failures)
