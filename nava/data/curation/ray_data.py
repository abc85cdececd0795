"""The stages on Ray Data, here or on a KubeRay cluster.

A Ray worker keeps the stages in a process of its own (`nava.runtime.worker_pool`), so a file that kills it or hangs is
an outcome like here and not the end of a Ray worker: Ray sets a source no time, and now and then it waits for ever for
a block whose worker died. A Ray worker ends with its node, then. Ray delivers at least once, retries such a block, and
drops one that failed for good without a word, so: blocks are small, retries bounded, and after each operator the ids
that went in are held against those that came out. What is missing runs again alone; what never comes back is reported.
"""

from __future__ import annotations

import contextlib
import itertools
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from nava.config.curation import ExecutionConfig
from nava.data.curation.execution import Outcome, StageRunner, has_result, write_result
from nava.data.curation.stage import SourceTask, Stage
from nava.runtime.errors import InputError, NavaError
from nava.runtime.worker_pool import WorkerPool

_RETRIES = 2  # of a block whose Ray worker died; Ray's own default is to try for ever
_RAY_WORKER_ENDED = "the Ray worker ended"
_START_GRACE_S = 1800.0


class RayExecutor:
    """Ray Data as executor; stages with the same needs share an operator, so that a file is decoded once.

    Raises:
        InputError: Ray is not installed.
    """

    def __init__(self, config: ExecutionConfig) -> None:
        self.config = config
        self._ray = _start(config)

    def run(self, stages: Sequence[Stage], tasks: Sequence[SourceTask]) -> Iterator[Outcome]:
        """One outcome per task, wave by wave; a restart repeats at most the wave in flight."""
        operators = fused(stages)
        waiting = [task for task in tasks if not has_result(task)]
        yield from (Outcome(task) for task in tasks if has_result(task))
        for start in range(0, len(waiting), self.config.wave_sources):
            yield from self._wave(operators, waiting[start : start + self.config.wave_sources])

    def _wave(self, operators: list[list[Stage]], tasks: Sequence[SourceTask]) -> Iterator[Outcome]:
        flowing = {task.task_id: task for task in tasks}
        for stages in operators:
            done = self._map(stages, list(flowing.values()), self.config.block_sources)
            outcomes = [done.get(name) or self._alone(stages, task) for name, task in flowing.items()]
            yield from (outcome for outcome in outcomes if outcome.failure)
            flowing = {outcome.task.task_id: outcome.task for outcome in outcomes if not outcome.failure}
        for task in flowing.values():
            write_result(task)
            yield Outcome(task)

    def _alone(self, stages: list[Stage], task: SourceTask) -> Outcome:
        """A task whose block did not come back: a Ray worker ended, and Ray's own retries did not help."""
        for _ in range(self.config.attempts):
            if outcome := self._map(stages, [task], 1).get(task.task_id):
                return outcome
        return Outcome(task, "killed", f"{_RAY_WORKER_ENDED}: with its block, and alone {self.config.attempts} times")

    def _map(self, stages: list[Stage], tasks: list[SourceTask], block: int) -> dict[str, Outcome]:
        """What became of the tasks that came back, by id."""
        if not tasks:
            return {}
        items = [{"task_id": task.task_id, "task": pickle.dumps(task)} for task in tasks]
        needs = stages[0].resources
        blocks = -(-len(items) // block)
        data = self._ray.data.from_items(items, override_num_blocks=blocks).map_batches(
            _StageWorker,
            fn_constructor_args=(stages, self.config),
            batch_size=block,
            num_cpus=needs.cores,
            num_gpus=needs.gpu_share or None,
            memory=needs.memory_mb * 2**20,
            concurrency=(1, max(1, min(self.config.workers, blocks))),
            # Ray Data takes its workers for immortal: one that may not restart stays in the pool as dead, and the
            # blocks that wait for it wait for ever. What is bounded is how often a block is tried.
            max_restarts=-1,
            max_task_retries=_RETRIES,
        )
        done: dict[str, Outcome] = {}
        with contextlib.suppress(self._ray.data.exceptions.ExecutionTimeoutError):  # what is missing is tried again
            for row in data.iter_rows():
                value = pickle.loads(row["outcome"])  # noqa: S301 - our own workers
                if isinstance(value, NavaError):
                    raise value
                done[row["task_id"]] = value
        return done


class _StageWorker:
    """One Ray worker of an operator, and the process that sets the stages up once and runs them.

    An error that ends the run comes back in the place of an outcome: raised here, Ray would drop the block in silence.
    """

    def __init__(self, stages: list[Stage], config: ExecutionConfig) -> None:
        self.pool = WorkerPool(StageRunner(stages), 1, config.source_timeout_s, config.attempts)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        tasks = [pickle.loads(data) for data in batch["task"]]  # noqa: S301 - the driver's tasks
        values: dict[str, Outcome | NavaError]
        try:
            values = {
                outcome.unit.task_id: Outcome(outcome.result or outcome.unit, outcome.failure, outcome.detail)
                for outcome in self.pool.run(tasks)
            }
        except NavaError as error:
            values = {task.task_id: error for task in tasks}
        return {"task_id": list(values), "outcome": [pickle.dumps(value) for value in values.values()]}


def fused(stages: Sequence[Stage]) -> list[list[Stage]]:
    """Neighbouring stages that need the same share of a GPU, as one operator that needs the most of each."""
    groups = itertools.groupby(stages, key=lambda stage: stage.resources.gpu_share)
    return [list(group) for _, group in groups]


def _start(config: ExecutionConfig) -> Any:
    try:
        import ray
        import ray.data
        import ray.data.exceptions
    except ImportError as error:
        message = "curation.execution.executor is ray, but Ray is not installed: pip install 'nava[ray]'"
        raise InputError(message) from error
    if not ray.is_initialized():
        if config.ray_address:
            ray.init(address=config.ray_address, log_to_driver=False)
        else:
            ray.init(num_cpus=config.workers, include_dashboard=False, log_to_driver=False)
    context = ray.data.DataContext.get_current()
    context.max_errored_blocks = -1
    context.enable_progress_bars = False
    # Longer than the slowest block can take: Ray's half hour would give up on a block of slow sources.
    tries = config.block_sources * config.attempts * (1 + _RETRIES)
    context.execution_no_progress_timeout_s = tries * config.source_timeout_s + _START_GRACE_S
    return ray
