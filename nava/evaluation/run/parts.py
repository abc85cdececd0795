"""Scores in parts: some backends' rows and figures of every arm, kept as files, and put together to results.

A part is what one process computes, be it the only one or one of many on machines of their own. Joined in the order of
the task, parts give the same files however the backends were divided.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from nava.evaluation.benchmark.task import Task
from nava.evaluation.extraction.extractor import ENTRIES, needs_weights
from nava.evaluation.extraction.feature_cache import FeatureCache
from nava.evaluation.run.arm import Arm
from nava.evaluation.run.campaign import Campaign
from nava.evaluation.run.cells import Absent, columns, routed, unavailable, wishes
from nava.evaluation.run.records import ROWS_FILE, Figure, read_rows, write_rows
from nava.evaluation.run.score import Scored, ScoringSettings, Watch, extract_features, score_columns, write_result
from nava.runtime.errors import InputError
from nava.runtime.storage import atomic_folder, read_json, write_json

SCORES_FILE = "scores.json"
EMBEDDED_GROUP = "embedded"
_EMBEDDED_PACKAGE = "nava.evaluation.extraction"

Scores = Mapping[str, Scored]
"""What was computed, by the name of the arm."""


def backend_groups(task: Task, configured: Collection[str]) -> dict[str, list[str]]:
    """The backends of a task that may be at hand, in groups that share code and weights; each may run on its own.

    Backends that this release has no extractor for, or no weights are configured for, are in none. Whether packages are
    installed is known only where a group runs.
    """
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(backend.backend for _, _, backend in routed(task)):
        entry = ENTRIES.get(name)
        if entry is None or (not entry.missing() and needs_weights(name) and name not in configured):
            continue
        module = entry.place.partition(":")[0]
        embedded = module.rpartition(".")[0] == _EMBEDDED_PACKAGE
        groups.setdefault(EMBEDDED_GROUP if embedded else module.rpartition(".")[2], []).append(name)
    return groups


def score_arms(
    campaign: Campaign,
    arms: Sequence[Arm],
    cache: FeatureCache,
    settings: ScoringSettings,
    watch: Watch,
    backends: Collection[str] | None = None,
) -> dict[str, Scored]:
    """Extract what is missing of all arms together, so that every backend is loaded once, and score each.

    Args:
        campaign: what was asked.
        arms: what was made.
        cache: what is in it is not extracted again.
        settings: how.
        watch: shows progress.
        backends: only these; None for all of the task.
    """
    found, absent = columns(campaign.task, campaign.items, (), cache.configured, backends)
    wanted = chain.from_iterable(wishes(found, arm.files, cache) for arm in arms)
    failures = extract_features(wanted, cache, settings, watch)
    return {
        arm.name: score_columns(campaign.task, found, absent, arm.files, cache, failures, settings, arm.reasons)
        for arm in arms
    }


def write_part(folder: Path, scores: Scores) -> None:
    """Keep a part: a folder for each arm with ``rows.jsonl`` and ``scores.json``."""
    with atomic_folder(folder) as part:
        for name, scored in scores.items():
            write_rows(part / name / ROWS_FILE, scored.rows)
            value = {
                "figures": [asdict(figure) for figure in scored.figures],
                "absent": [asdict(absent) for absent in scored.absent],
            }
            write_json(part / name / SCORES_FILE, value)


def read_part(folder: Path) -> dict[str, Scored]:
    """A part as it was kept."""
    found = {}
    for path in sorted(folder.glob(f"*/{SCORES_FILE}")):
        value = read_json(path)
        found[path.parent.name] = Scored(
            tuple(Figure(**figure) for figure in value["figures"]),
            tuple(Absent(**absent) for absent in value["absent"]),
            tuple(read_rows(path.parent / ROWS_FILE)),
        )
    return found


def join_parts(
    task: Task, arms: Sequence[str], parts: Iterable[Scores], configured: Collection[str]
) -> dict[str, Scored]:
    """All parts of each arm as one, in the order of the task.

    A backend that is in no part is absent, with the reason that it was given to none.

    Raises:
        InputError: a backend is in two parts, or in none although it could have been.
    """
    given = list(parts)
    return {name: _joined(task, [part[name] for part in given if name in part], configured) for name in arms}


def _joined(task: Task, parts: Sequence[Scored], configured: Collection[str]) -> Scored:
    figures = _by_backend(figure for part in parts for figure in part.figures)
    absent = _by_backend(entry for part in parts for entry in part.absent)
    if both := sorted(figures.keys() & absent.keys()):
        raise InputError(f"{both[0]} is measured in one part of the scores and absent in another")
    ordered: list[Any] = []
    for _, manifest, backend in routed(task):
        place = (manifest.metric_id, backend.backend)
        entry = figures.get(place) or absent.get(place)
        if entry is None:
            reason = unavailable(backend.backend, configured)
            if not reason:
                raise InputError(f"no part of the scores holds {manifest.column(backend.backend)}")
            entry = Absent(*place, reason)
        ordered.append(entry)
    return Scored(
        tuple(entry for entry in ordered if isinstance(entry, Figure)),
        tuple(entry for entry in ordered if isinstance(entry, Absent)),
        tuple(row for part in parts for row in part.rows),
    )


def _by_backend(entries: Iterable[Any]) -> dict[tuple[str, str], Any]:
    found: dict[tuple[str, str], Any] = {}
    for entry in entries:
        place = (entry.metric, entry.backend)
        if place in found:
            raise InputError(f"{entry.metric}[{entry.backend}] is in two parts of the scores")
        found[place] = entry
    return found


def write_results(
    campaign: Campaign, arms: Sequence[Arm], scores: Scores, out: Path, settings: ScoringSettings
) -> dict[str, Path]:
    """The result folder of each arm; where it is, by the arm's name."""
    from nava.evaluation.run.arm import arm_folder

    folders = {}
    for arm in arms:
        folder = arm_folder(out, arm.name) / "result"
        names = {item: path.name for item, path in arm.files.items()}
        scored, package_sha256 = scores[arm.name], arm.package_sha256
        write_result(folder, campaign.task, campaign.items, scored, settings, arm.label, names, package_sha256)
        folders[arm.name] = folder
    return folders
