"""Curation as a whole: sources through the stages that look, near-duplicates over the corpus, the survivors through the
stages that find words, then splits and subsets.

Work is kept by source and by what could change its result, so a grown corpus costs what is new, and a killed run costs
the sources in flight. The result is a function of the set of sources and the settings alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nava.artifacts.clip_manifest import ClipRow, Reason, Status, count_reasons, count_statuses
from nava.artifacts.source_manifest import Source
from nava.data.curation.execution import Executor, has_result, make_executor, read_result, write_result
from nava.data.curation.plan import CurationPlan
from nava.data.curation.stage import Clip, SourceTask, Stage
from nava.runtime.errors import InputError
from nava.runtime.progress import Progress

LOOK_FILE = "look.json"
FAILURES = {"killed": Reason.WORKER_KILLED, "timed_out": Reason.TIMED_OUT, "error": Reason.STAGE_ERROR}
_POOL = "worker_pool"


@dataclass
class Curated:
    """What curation found.

    Attributes:
        rows: every record, kept or not.
        folders: where each record's files lie, by clip id.
        cpu_s: CPU seconds by stage, of all sources, whenever they were worked on.
        worked: how many sources each half of the stages worked on in this run.
    """

    rows: list[ClipRow] = field(default_factory=list)
    folders: dict[str, Path] = field(default_factory=dict)
    cpu_s: dict[str, float] = field(default_factory=dict)
    worked: dict[str, int] = field(default_factory=dict)


@dataclass
class Curation:
    """A plan over sources.

    Attributes:
        work: folder that holds the work of all runs: sources that were done before are found there.
        progress: wraps an iterable and reports.
        log: takes a plain line.
    """

    plan: CurationPlan
    work: Path
    progress: Progress
    log: Callable[[str], None] = print

    def run(self, sources: Sequence[Source], media_roots: Mapping[str, str]) -> Curated:
        """Curate all sources.

        Args:
            sources: of a source manifest.
            media_roots: folder or bucket address of each collection.

        Raises:
            InputError: nothing was kept; the message lists the reasons with their counts.
        """
        executor = make_executor(self.plan.curation.execution)
        units = self.work / "units" / self.plan.look_key
        tasks = [
            SourceTask(source, media_roots[source.collection], units / source.source_id, LOOK_FILE)
            for source in sources
        ]
        curated = Curated()
        curated.worked["look"] = self._execute(executor, self.plan.look, tasks, "sources")
        for task in tasks:
            task.clips = self._restored(task, curated)
        self.plan.filters.process(tasks)
        self.plan.drop_duplicates(tasks)
        self._find_words(executor, tasks, curated)
        for task in tasks:
            curated.rows += [clip.row for clip in task.clips]
            curated.folders |= {clip.row["clip_id"]: task.folder for clip in task.clips}
        self.plan.finish(curated.rows)
        check_accounts(curated.rows, sources)
        if not any(row["status"] == Status.KEPT for row in curated.rows):
            raise InputError(self._nothing_kept(curated.rows, len(sources), media_roots))
        return curated

    def _find_words(self, executor: Executor, tasks: Sequence[SourceTask], curated: Curated) -> None:
        """The stages that find words, on the clips that are still open; their records take the place of those."""
        worded = []
        for task in tasks:
            if clips := task.open_clips:
                result = f"words-{self.plan.words_key([clip.row['clip_id'] for clip in clips])}.json"
                worded.append(SourceTask(task.source, task.media_root, task.folder, result, clips))
        curated.worked["words"] = self._execute(executor, self.plan.words, worded, "sources put into words")
        by_id = {clip.row["clip_id"]: clip for task in worded for clip in self._restored(task, curated)}
        for task in tasks:
            task.clips = [by_id.get(clip.row["clip_id"], clip) for clip in task.clips]

    def _execute(self, executor: Executor, stages: Sequence[Stage], tasks: Sequence[SourceTask], label: str) -> int:
        """Runs what is not done yet; returns how many tasks that was. Whatever a worker died of becomes a record."""
        waiting = [task for task in tasks if not has_result(task)]
        if waiting and len(waiting) < len(tasks):
            self.log(f"{len(tasks) - len(waiting)} of {len(tasks)} {label} were done before, going on with the rest")
        for outcome in self.progress(executor.run(stages, waiting), total=len(waiting), label=label):
            if outcome.failure:
                self.log(f"{outcome.task.source.path}: {outcome.detail}")
                task = outcome.task
                task.reject(FAILURES[outcome.failure], outcome.detail, _POOL)
                write_result(task)
        return len(waiting)

    def _restored(self, task: SourceTask, curated: Curated) -> list[Clip]:
        """The records of a finished task; its CPU seconds are added up."""
        rows, cpu_s = read_result(task)
        for stage, seconds in cpu_s.items():
            curated.cpu_s[stage] = curated.cpu_s.get(stage, 0.0) + seconds
        return [Clip(row) for row in rows]

    def _nothing_kept(self, rows: Sequence[ClipRow], sources: int, media_roots: Mapping[str, str]) -> str:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in count_reasons(rows).items()) or "no source files"
        places = ", ".join(media_roots.values())
        clip = self.plan.curation.clip
        clip_s = clip.duration_s(min(clip.frame_counts))
        return (
            f"curation kept nothing of {sources} source files under {places} ({reasons}). Add videos of at least "
            f"{clip_s:.1f} s with moving pictures and sound, or move the thresholds of the section 'curation'."
        )


def check_accounts(rows: Sequence[ClipRow], sources: Sequence[Source]) -> None:
    """No record is lost: every source has a row, every row an end, and every end that is not `kept` a reason."""
    counts = count_statuses(rows)
    assert counts["in"] == len(rows)
    missing = {source.source_id for source in sources} - {row["src_id"] for row in rows}
    assert not missing, f"sources without a record: {sorted(missing)[:3]}"
    assert all((row["status"] == Status.KEPT) == (row.get("drop_reason") is None) for row in rows)
