"""Stages written for NeMo Curator, run as stages of this pipeline, as they are.

A NeMo Curator stage takes a `VideoTask` whose `data` is a `Video` with `clips`, changes them in place, moves clips that
it filters to `filtered_clips`, and returns the task, a list of tasks, or None. The types below have the fields that its
video stages read and write (NVIDIA-NeMo/Curator, `nemo_curator/tasks/video.py`), so that neither side imports the
other. Ray, Xenna and loguru are not needed unless the stage itself wants them.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from nava.artifacts.clip_manifest import SCHEMA, Reason
from nava.data.curation.media import clip_media
from nava.data.curation.stage import Clip, SourceTask, Stage

# Key of the frames of a clip in `extracted_frames`, as stages look them up by what was asked of the extraction.
FRAMES = "frames"


@dataclass
class NemoClip:
    """A clip as NeMo Curator's stages know it; `span` in seconds, `buffer` the bytes of the MP4."""

    uuid: uuid.UUID
    source_video: str
    span: tuple[float, float]
    buffer: bytes | None = None
    extracted_frames: dict[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    decoded_motion_data: Any = None
    motion_score_global_mean: float | None = None
    motion_score_per_patch_min_256: float | None = None
    aesthetic_score: float | None = None
    windows: list[Any] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return self.span[1] - self.span[0]


@dataclass
class NemoVideo:
    """A video with its clips."""

    input_video: Path
    clips: list[NemoClip] = field(default_factory=list)
    filtered_clips: list[NemoClip] = field(default_factory=list)
    errors: dict[str, str] = field(default_factory=dict)


@dataclass
class NemoVideoTask:
    """What a stage's `process` is given."""

    task_id: str
    dataset_name: str
    data: NemoVideo
    _metadata: dict[str, Any] = field(default_factory=dict)
    _stage_perf: list[Any] = field(default_factory=list)


@dataclass
class NemoStage(Stage):
    """Runs a NeMo Curator video stage on the open clips that have pictures.

    Attributes:
        stage: the stage's object; its `name` and class are part of the identity of the work, its fields are not, so
            raise `revision` when they change.
        reason: why a clip that the stage filters is dropped.
        columns: column of the clip manifest by attribute of the clip, e.g. `{"motion_score_global_mean": "motion"}`.
        revision: part of the version in every record.

    Raises:
        ValueError: a column is not one of the clip manifest.
    """

    stage: Any
    reason: Reason
    columns: Mapping[str, str] = field(default_factory=dict)
    revision: str = "1"
    reads: ClassVar[tuple[str, ...]] = ("video_path", "t0_us", "t1_us")

    def __post_init__(self) -> None:
        if foreign := [column for column in self.columns.values() if column not in SCHEMA.names]:
            raise ValueError(f"{foreign} are no columns of the clip manifest")

    @property
    def name(self) -> str:  # type: ignore[override]
        """The stage's own name, marked as foreign."""
        return f"nemo:{self.stage.name}"

    @property
    def version(self) -> str:  # type: ignore[override]
        """The stage's class and the revision of its settings."""
        return f"{type(self.stage).__name__}/{self.revision}"

    def setup(self) -> None:
        """The stage's own set-up: once per node, then once per worker."""
        if hasattr(self.stage, "setup_on_node"):
            self.stage.setup_on_node(None, None)
        if hasattr(self.stage, "setup"):
            self.stage.setup(None)

    def process(self, tasks: Sequence[SourceTask]) -> list[SourceTask]:
        """Runs the stage on each task and takes over scores, filtered clips and errors."""
        for task in tasks:
            clips = {uuid.uuid5(uuid.NAMESPACE_OID, clip.row["clip_id"]): clip for clip in _pictured(task)}
            if clips:
                returned = self.stage.process(_as_nemo(task, clips))
                self._take_over(clips, _videos(returned))
        return list(tasks)

    def _take_over(self, clips: Mapping[uuid.UUID, Clip], videos: Sequence[NemoVideo]) -> None:
        passed = {one.uuid: one for video in videos for one in video.clips}
        filtered = {one.uuid: one for video in videos for one in video.filtered_clips}
        for identity, clip in clips.items():
            result = passed.get(identity) or filtered.get(identity)
            if result is not None:
                values = {column: getattr(result, attribute) for attribute, column in self.columns.items()}
                clip.row |= {column: value for column, value in values.items() if value is not None}
            if result is not None and result.errors:
                clip.close(Reason.STAGE_ERROR, f"{self.name}: {result.errors}", self.name)
            elif identity not in passed:
                clip.close(self.reason, f"{self.name} filtered it{_scores(result)}", self.name)


def _pictured(task: SourceTask) -> list[Clip]:
    return [clip for clip in task.open_clips if clip.has_picture]


def _as_nemo(task: SourceTask, clips: Mapping[uuid.UUID, Clip]) -> NemoVideoTask:
    video = NemoVideo(Path(task.source.path))
    for identity, clip in clips.items():
        frames_THWC = clip_media(task, clip).frames_THWC
        assert frames_THWC is not None
        span = (clip.row["t0_us"] / 1e6, clip.row["t1_us"] / 1e6)
        buffer = (task.folder / clip.row["video_path"]).read_bytes()
        video.clips.append(NemoClip(identity, task.source.path, span, buffer, {FRAMES: frames_THWC}))
    return NemoVideoTask(task.task_id, task.source.collection, video)


def _videos(returned: Any) -> list[NemoVideo]:
    """A stage returns a task, several, or None, which filters all."""
    tasks = returned if isinstance(returned, list) else [returned] if returned is not None else []
    return [task.data for task in tasks]


def _scores(clip: NemoClip | None) -> str:
    names = ("aesthetic_score", "motion_score_global_mean")
    found = [f"{name} {value:.3g}" for name in names if clip and (value := getattr(clip, name)) is not None]
    return f" ({', '.join(found)})" if found else ""
