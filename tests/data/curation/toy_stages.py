"""Small stages for tests of the executors: they count, fail, hang or kill the process they run in."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from nava.artifacts.clip_manifest import Reason
from nava.artifacts.source_manifest import Source
from nava.data.curation.stage import Clip, ClipStage, SourceRejectedError, SourceTask, Stage, source_columns
from nava.runtime.errors import RunStoppedError


def source(name, size=1):
    return Source(f"src-{name}", f"{name}.mp4", name * 4, size, None, "CC0-1.0", "test")


def tasks_in(folder, names):
    return [SourceTask(source(name), "", folder / name) for name in names]


@dataclass
class CutStage(Stage):
    """Two records per source; a source called `refused` is refused."""

    name: ClassVar[str] = "toy_cut"
    adds: ClassVar[tuple[str, ...]] = ("t0_us", "t1_us")

    def process(self, tasks: Sequence[SourceTask]) -> list[SourceTask]:
        for task in tasks:
            if task.source.source_id == "src-refused":
                task.reject(Reason.UNDECODABLE, "refused by name", self.name)
                continue
            for number in range(2):
                row = source_columns(task.source) | {"clip_id": f"{task.task_id}-{number}", "modality": "audio"}
                task.clips.append(Clip(row | {"t0_us": number, "t1_us": number + 1}))
        return list(tasks)


@dataclass
class LoudnessStage(ClipStage):
    """Adds a score; sets up once per worker and leaves a mark that it did."""

    marks: str
    name: ClassVar[str] = "toy_loudness"
    reads: ClassVar[tuple[str, ...]] = ("t0_us",)
    adds: ClassVar[tuple[str, ...]] = ("lufs",)

    def setup(self) -> None:
        with (Path(self.marks) / f"setup-{os.getpid()}").open("a") as file:
            file.write("x")

    def score(self, task, clip):
        return {"lufs": -20.0 - clip.row["t0_us"]}


@dataclass
class TrapStage(Stage):
    """Does to a source what its name says: `poison` kills the process every time, `twice` two times, and so on."""

    marks: str
    name: ClassVar[str] = "toy_trap"
    version: ClassVar[str] = "7"

    def process(self, tasks: Sequence[SourceTask]) -> list[SourceTask]:
        for task in tasks:
            kind = task.source.source_id.removeprefix("src-").partition("_")[0]
            tally = Path(self.marks) / f"deaths-{task.task_id}"
            deaths = len(tally.read_text()) if tally.exists() else 0
            if kind == "poison" or (kind == "twice" and deaths < 2):
                tally.write_text("x" * (deaths + 1))
                os.kill(os.getpid(), signal.SIGKILL)
            if kind == "unseats" and deaths < 1:  # ends the process that its worker works for
                tally.write_text("x")
                os.kill(os.getppid(), signal.SIGKILL)
            if kind == "stumbles":
                raise ValueError("not today")
            if kind == "hopeless":
                raise RunStoppedError("weights are missing: put them there")
            if kind == "rejected":
                raise SourceRejectedError(Reason.DAMAGED, "by name")
            if kind == "hangs":
                time.sleep(600)
        return list(tasks)


@dataclass
class LosingStage(Stage):
    """Loses a record, which no stage may."""

    name: ClassVar[str] = "toy_losing"

    def process(self, tasks: Sequence[SourceTask]) -> list[SourceTask]:
        for task in tasks:
            task.clips = task.clips[1:]
        return list(tasks)


def stages(marks) -> list[Stage]:
    return [CutStage(), TrapStage(str(marks)), LoudnessStage(str(marks))]
