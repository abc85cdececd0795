"""The shape of curation: a source with its clips flows through small typed stages, whoever executes them.

The shape follows NeMo Curator: a task is a source file with its clips, a stage says what it reads, what it adds and
what it needs, loads its model once per worker, and transforms a batch of tasks. Executors
(`nava.runtime.worker_pool`, `nava.data.curation.ray_data`) deliver a task at least once, so a stage must be safe
to run again: it writes only files named after what they hold, atomically.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from nava.artifacts.clip_manifest import SCHEMA, ClipRow, Modality, Reason, status_of
from nava.artifacts.source_manifest import Source


class SourceRejectedError(Exception):
    """The source cannot be curated: a reason of the fixed list, and the detail for people."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail

    def __reduce__(self) -> tuple[type[SourceRejectedError], tuple[Reason, str]]:
        return SourceRejectedError, (self.reason, self.detail)


@dataclass(frozen=True)
class Resources:
    """What one worker of a stage needs: CPU cores, a share of a GPU (0 to 1 or whole GPUs), memory in MB."""

    cores: float = 1.0
    gpu_share: float = 0.0
    memory_mb: int = 1024


@dataclass
class Clip:
    """One record of a source.

    Attributes:
        row: the columns of the clip manifest measured so far.
        work: what stages pass on to later ones and the manifest does not keep; it must pickle.
    """

    row: ClipRow
    work: dict[str, Any] = field(default_factory=dict)

    @property
    def is_open(self) -> bool:
        """Whether nothing has been decided about the clip yet."""
        return not self.row.get("status")

    @property
    def has_picture(self) -> bool:
        """Whether the clip has pictures beside its sound."""
        return bool(self.row["modality"] == Modality.AUDIO_VIDEO)

    def close(self, reason: Reason, detail: str, stage: str) -> None:
        """Take the clip out, with a reason of the fixed list and a sentence."""
        self.row |= {"status": str(status_of(reason)), "drop_reason": str(reason), "detail": detail, "stage": stage}


@dataclass
class SourceTask:
    """A source file on its way through the stages.

    Attributes:
        source: the source manifest's entry.
        media_root: folder or bucket address that the source's paths are relative to.
        folder: working folder of this source; rows name the files they own relative to it.
        result_file: name in that folder of what is written last: where it is, the task is done.
        clips: the records so far; none until the source has been cut.
        work: what stages pass on about the source as a whole; it must pickle.
        cpu_s: CPU seconds that each stage spent on this task, by the stage's name.
    """

    source: Source
    media_root: str
    folder: Path
    result_file: str = "result.json"
    clips: list[Clip] = field(default_factory=list)
    work: dict[str, Any] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)

    @property
    def task_id(self) -> str:
        """The id that executors keep their books by."""
        return self.source.source_id

    @property
    def open_clips(self) -> list[Clip]:
        """The clips about which nothing has been decided yet, in order."""
        return [clip for clip in self.clips if clip.is_open]

    @property
    def is_closed(self) -> bool:
        """Whether the source was rejected whole: later stages pass it on untouched."""
        return bool(self.clips) and not self.open_clips

    def reject(self, reason: Reason, detail: str, stage: str, **columns: Any) -> None:
        """Take the source out: every open clip of it, or, where it has not been cut yet, one record that stands for it
        and has its id.
        """
        if self.clips:
            for clip in self.open_clips:
                clip.close(reason, detail, stage)
            return
        row = source_columns(self.source) | {"clip_id": self.source.source_id, "modality": str(Modality.UNKNOWN)}
        clip = Clip(row | columns)
        clip.close(reason, detail, stage)
        self.clips = [clip]


def source_columns(source: Source) -> ClipRow:
    """The columns that every record has from its source."""
    return {
        "src_id": source.source_id,
        "src_sha256": source.sha256,
        "src_path": source.path,
        "collection": source.collection,
        "licence": source.licence,
        "origin": source.origin,
    }


class Stage(ABC):
    """A step of curation over tasks. A concrete stage is a dataclass whose fields are its thresholds, with units.

    Class attributes:
        name: unique within a plan. version: raise it when results change; both go into every record.
        reads, adds: columns of the clip manifest.
        resources: of one worker. batch_size: tasks per call of `process`.
    """

    name: ClassVar[str]
    version: ClassVar[str] = "1"
    reads: ClassVar[tuple[str, ...]] = ()
    adds: ClassVar[tuple[str, ...]] = ()
    resources: ClassVar[Resources] = Resources()
    batch_size: ClassVar[int] = 1

    def setup(self) -> None:  # noqa: B027 - most stages load nothing
        """Load what the stage needs; called once per worker, before the first batch."""

    @abstractmethod
    def process(self, tasks: Sequence[SourceTask]) -> list[SourceTask]:
        """Transform a batch; every task comes out, in order.

        Raises:
            SourceRejectedError: for a batch of one, the source cannot be used; the executor records it.
        """


class ClipStage(Stage):
    """A stage that looks at one clip alone and adds columns to its row."""

    @abstractmethod
    def score(self, task: SourceTask, clip: Clip) -> ClipRow:
        """The new column values of one open clip."""

    def process(self, tasks: Sequence[SourceTask]) -> list[SourceTask]:
        """Scores every open clip of every task."""
        for task in tasks:
            for clip in task.open_clips:
                clip.row |= self.score(task, clip)
        return list(tasks)


def check_stages(stages: Sequence[Stage]) -> None:
    """Every stage must read what an earlier one adds, and add only columns of the manifest.

    Raises:
        ValueError: names the stage and the column.
    """
    known = {"clip_id", "modality", "src_id", "src_sha256", "src_path", "collection", "licence", "origin"}
    names: set[str] = set()
    for stage in stages:
        if stage.name in names:
            raise ValueError(f"two stages are called {stage.name}")
        names.add(stage.name)
        if missing := [column for column in stage.reads if column not in known]:
            raise ValueError(f"stage {stage.name} reads {missing}, which no earlier stage adds")
        if foreign := [column for column in stage.adds if column not in SCHEMA.names]:
            raise ValueError(f"stage {stage.name} adds {foreign}, which are no columns of the clip manifest")
        known.update(stage.adds)


def stage_versions(stages: Sequence[Stage]) -> dict[str, str]:
    """Names and versions of stages, as records carry them."""
    return {stage.name: stage.version for stage in stages}
