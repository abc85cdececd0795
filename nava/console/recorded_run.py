"""A run as it recorded itself: its steps, and the artifacts that their handles lead to, read once and only if there."""

import os
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

from nava.artifacts import clip_manifest, evaluation_result
from nava.artifacts.clip_manifest import ClipRow, Status
from nava.artifacts.evaluation_result import EvaluationResult
from nava.artifacts.source_manifest import IgnoredFile, Source, read_ignored, read_sources
from nava.runtime.handle import Handle
from nava.runtime.store import RunRow, StepRow

STAGES = ("train_stage1", "train_stage2", "train_stage3")
STOPPED = ("failed", "gate_failed", "interrupted")


class RecordedRun:
    """A run's record and what it made.

    Args:
        run_dir: root of the run.
        row: the run's record.
        steps: its steps in order.
    """

    def __init__(self, run_dir: Path, row: RunRow, steps: list[StepRow]) -> None:
        self.run_dir, self.row, self.steps = run_dir, row, steps

    @property
    def failed_step(self) -> StepRow | None:
        """The first step that failed, was interrupted, or whose gate said no."""
        return next((step for step in self.steps if step.state in STOPPED), None)

    @property
    def state(self) -> str:
        """succeeded, gate_failed or failed."""
        if self.failed_step is not None:
            return "gate_failed" if self.failed_step.state == "gate_failed" else "failed"
        done = bool(self.steps) and all(step.state == "succeeded" for step in self.steps)
        return "succeeded" if done else "failed"

    def href(self, path: Path) -> str:
        """A path as the run's page links to it."""
        return os.path.relpath(path, self.run_dir)

    def handle(self, step: str) -> Handle | None:
        """The handle that a step of this run returned, if it got so far and the artifact is on this machine."""
        row = next((row for row in self.steps if row.name == step), None)
        if row is None or row.handle is None:
            return None
        handle = Handle.from_dict(row.handle)
        return handle if handle.path.exists() else None

    def pages(self) -> list[tuple[str, Path]]:
        """The pages that steps made of their results, those whose handle names one in `meta`, by step."""
        handles = ((step.name, self.handle(step.name)) for step in self.steps)
        return [(name, found.path / found.meta["page"]) for name, found in handles if found and "page" in found.meta]

    @cached_property
    def sources(self) -> list[Source]:
        """The media files that were found."""
        handle = self.handle("ingest")
        return read_sources(handle.path) if handle else []

    @cached_property
    def ignored(self) -> list[IgnoredFile]:
        """What lay beside them and is no source."""
        handle = self.handle("ingest")
        return read_ignored(handle.path) if handle else []

    @cached_property
    def clips_dir(self) -> Path | None:
        """Folder of the clip manifest."""
        handle = self.handle("curate")
        return handle.path if handle else None

    @cached_property
    def clips(self) -> list[ClipRow]:
        """Every row of the clip manifest."""
        return clip_manifest.read_clips(self.clips_dir).to_pylist() if self.clips_dir else []

    def record_counts(self) -> dict[str, int]:
        """Records in = kept + dropped + failed + quarantined; files that are no sources count as dropped."""
        counts = clip_manifest.count_statuses(self.clips)
        counts["in"] += len(self.ignored)
        counts[str(Status.DROPPED)] += len(self.ignored)
        return counts

    def reason_counts(self) -> dict[str, int]:
        """How many records were not kept, by reason."""
        reasons = Counter(clip_manifest.count_reasons(self.clips))
        reasons.update(str(file.reason) for file in self.ignored)
        return dict(reasons.most_common())

    @cached_property
    def evaluation_dir(self) -> Path | None:
        """Folder of the evaluation result."""
        handle = self.handle("evaluate")
        return handle.path if handle else None

    @cached_property
    def evaluation(self) -> EvaluationResult | None:
        """The evaluation result."""
        return evaluation_result.read(self.evaluation_dir) if self.evaluation_dir else None

    def model_version(self) -> dict[str, Any] | None:
        """The registered version as the registry has it now: name, version, aliases, package, tags."""
        handle = self.handle("register")
        if handle is None:
            return None
        from nava.registry.versions import list_versions

        versions = list_versions(self.run_dir)
        return next((item for item in versions if str(item["version"]) == str(handle.meta["version"])), None)
