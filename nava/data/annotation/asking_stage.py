"""A stage that may ask endpoints about clips: many at a time, and each fails alone."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

from nava.artifacts.clip_manifest import ClipRow, Reason
from nava.data.annotation.endpoint import EndpointError
from nava.data.curation.stage import Clip, ClipStage, SourceTask


class AskingStage(ClipStage):
    """Clips of a task are asked about at the same time; one without a usable answer is closed as failed.

    Class attributes:
        failure: the reason that such a clip is closed with.
        failures: errors that one clip is to blame for.
    """

    failure: ClassVar[Reason]
    failures: ClassVar[tuple[type[Exception], ...]] = (EndpointError,)
    in_flight: int = 1

    def process(self, tasks: Sequence[SourceTask]) -> list[SourceTask]:
        """Scores every open clip; one that cannot be scored fails with its reason, the others go on.

        Raises:
            RunStoppedError: no clip can be scored; none is marked.
        """
        pairs = [(task, clip) for task in tasks for clip in task.open_clips]
        if self.in_flight == 1:
            results = [self._attempt(*pair) for pair in pairs]
        else:
            with ThreadPoolExecutor(self.in_flight) as pool:
                futures = [pool.submit(self._attempt, *pair) for pair in pairs]
                try:
                    results = [future.result() for future in futures]
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise
        for (_, clip), result in zip(pairs, results, strict=True):
            if isinstance(result, Exception):
                clip.close(self.failure, f"{self.name}: {result}", self.name)
            else:
                clip.row |= result
        return list(tasks)

    def _attempt(self, task: SourceTask, clip: Clip) -> ClipRow | Exception:
        try:
            return self.score(task, clip)
        except self.failures as error:
            return error

    @abstractmethod
    def score(self, task: SourceTask, clip: Clip) -> ClipRow:
        """The new column values of one open clip.

        Raises:
            one of `failures`: this clip cannot be scored.
        """
