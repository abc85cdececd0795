"""Running stages over tasks: what both executors share.

A task's result is a file that is written last, so a task is done or not; who is killed when costs the task in flight.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from nava.artifacts.clip_manifest import ClipRow, Reason
from nava.config.curation import ExecutionConfig
from nava.data.curation.stage import SourceRejectedError, SourceTask, Stage
from nava.runtime.errors import RunStoppedError
from nava.runtime.storage import read_json, write_json

_CLEARLY_LOST = "a stage gave back another number of tasks than it was given"


@dataclass(frozen=True)
class Outcome:
    """What became of a task: done (its result lies in its folder), or `failure` (`killed`, `timed_out`, `error`)."""

    task: SourceTask
    failure: str = ""
    detail: str = ""


class Executor(Protocol):
    """Runs stages over tasks, each task at least once."""

    def run(self, stages: Sequence[Stage], tasks: Sequence[SourceTask]) -> Iterator[Outcome]:
        """One outcome per task, as they come. Tasks whose result is there are not run again."""


def make_executor(config: ExecutionConfig) -> Executor:
    """The executor that the configuration names."""
    if config.executor == "ray":
        from nava.data.curation.ray_data import RayExecutor

        return RayExecutor(config)
    return LocalExecutor(config)


@dataclass
class LocalExecutor:
    """A pool of processes of this machine; each runs all stages on one source after another."""

    config: ExecutionConfig

    def run(self, stages: Sequence[Stage], tasks: Sequence[SourceTask]) -> Iterator[Outcome]:
        """One outcome per task. A file that ends its worker every time is reported, and the rest is unharmed."""
        from nava.runtime.worker_pool import run_units

        runner = TaskRunner(StageRunner(list(stages)))
        # Long files first, so that the last worker is not left alone with one.
        ordered = sorted(tasks, key=lambda task: (-task.source.size_bytes, task.task_id))
        settings = self.config
        for outcome in run_units(runner, ordered, settings.workers, settings.source_timeout_s, settings.attempts):
            yield Outcome(outcome.unit, outcome.failure, outcome.detail)


@dataclass
class StageRunner:
    """Stages on one task after another, in a worker process that sets them up once."""

    stages: list[Stage]
    _ready: bool = field(default=False, repr=False)

    def __call__(self, task: SourceTask) -> SourceTask:
        """The task as the stages leave it."""
        if not self._ready:
            set_up(self.stages)
            self._ready = True
        return run_stages(self.stages, task)


@dataclass
class TaskRunner:
    """All stages on one task, in a worker process; leaves the result in the task's folder."""

    stages: StageRunner

    def __call__(self, task: SourceTask) -> str:
        """Runs the task unless it is done; returns its id."""
        if not has_result(task):
            write_result(self.stages(task))
        return task.task_id


def set_up(stages: Sequence[Stage]) -> None:
    """Once per worker: stages load their models, and libraries keep to one thread, since files run in parallel."""
    import cv2

    cv2.setNumThreads(1)
    for stage in stages:
        stage.setup()


def run_stages(stages: Sequence[Stage], task: SourceTask) -> SourceTask:
    """Run stages on one task. What a stage stumbles over is the task's fault and becomes its record.

    Raises:
        RunStoppedError: no task can go on: a budget is spent, an endpoint refuses every request.
    """
    for stage in stages:
        started = time.process_time()
        before = {clip.row["clip_id"] for clip in task.clips}
        try:
            processed = stage.process([task])
        except RunStoppedError:
            raise
        except SourceRejectedError as error:
            task.reject(error.reason, error.detail, stage.name)
        except Exception as error:
            task.reject(Reason.STAGE_ERROR, f"{stage.name}: {type(error).__name__}: {error}", stage.name)
        else:
            if len(processed) != 1:
                raise RuntimeError(f"stage {stage.name}: {_CLEARLY_LOST}")
            (task,) = processed
            _check_records(stage, before, task)
        task.cpu_s[stage.name] = task.cpu_s.get(stage.name, 0.0) + time.process_time() - started
    return task


def _check_records(stage: Stage, before: set[str], task: SourceTask) -> None:
    """A stage may add records; it may not lose one."""
    if not before <= {clip.row["clip_id"] for clip in task.clips}:
        raise RuntimeError(f"stage {stage.name} lost records of {task.source.path}: {sorted(before)[:3]}")


def has_result(task: SourceTask) -> bool:
    """Whether the task is done."""
    return (task.folder / task.result_file).is_file()


def write_result(task: SourceTask) -> None:
    """Write the task's records and times; where the file is, everything the records name is."""
    from nava.data.curation.media import release_source

    rows = [clip.row for clip in task.clips]
    write_json(task.folder / task.result_file, {"rows": rows, "cpu_s": task.cpu_s})
    release_source(task)


def read_result(task: SourceTask) -> tuple[list[ClipRow], dict[str, float]]:
    """Records and CPU seconds by stage of a finished task."""
    value: dict[str, Any] = read_json(task.folder / task.result_file)
    return value["rows"], value["cpu_s"]
