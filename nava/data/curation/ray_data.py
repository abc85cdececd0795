"""The stages on Ray Data, here or on a KubeRay cluster.

Ray delivers at least once, retries a killed worker's block, and drops a block that failed for good without a word, so:
blocks are small, retries bounded, and after each operator the ids that went in are held against those that came out.
What is missing runs again alone; what never comes back is reported.
"""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Iterator, Sequence
from typing import Any

from nava.config.curation import ExecutionConfig
from nava.data.curation.execution import Outcome, has_result, run_stages, set_up, write_result
from nava.data.curation.stage import SourceTask, Stage
from nava.runtime.errors import InputError, NavaError

_RETRIES = 2  # of a block whose worker died; Ray's own default is to try for ever


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
        lost: list[SourceTask] = []
        flowing = {task.task_id: task for task in tasks}
        for stages in operators:
            done = self._map(stages, list(flowing.values()), self.config.block_sources)
            missing = [task for name, task in flowing.items() if name not in done]
            for task in missing:
                again = self._alone(stages, task)
                if again is None:
                    lost.append(task)
                else:
                    done[task.task_id] = again
            flowing = {name: done[name] for name in flowing if name in done}
        for task in flowing.values():
            write_result(task)
            yield Outcome(task)
        attempts = self.config.attempts
        for task in lost:
            yield Outcome(task, "killed", f"ended its worker process each of {attempts} times")

    def _alone(self, stages: list[Stage], task: SourceTask) -> SourceTask | None:
        for _ in range(self.config.attempts - 1):
            if (done := self._map(stages, [task], 1)).get(task.task_id):
                return done[task.task_id]
        return None

    def _map(self, stages: list[Stage], tasks: list[SourceTask], block: int) -> dict[str, SourceTask]:
        """The tasks that came back, by id."""
        if not tasks:
            return {}
        items = [{"task_id": task.task_id, "task": pickle.dumps(task)} for task in tasks]
        needs = stages[0].resources
        blocks = -(-len(items) // block)
        data = self._ray.data.from_items(items, override_num_blocks=blocks).map_batches(
            _StageWorker,
            fn_constructor_args=(stages,),
            batch_size=block,
            num_cpus=needs.cores,
            num_gpus=needs.gpu_share or None,
            memory=needs.memory_mb * 2**20,
            concurrency=(1, max(1, min(self.config.workers, blocks))),
            max_restarts=_RETRIES,
            max_task_retries=_RETRIES,
        )
        done: dict[str, SourceTask] = {}
        for row in data.iter_rows():
            value = pickle.loads(row["task"])  # noqa: S301 - our own workers
            if isinstance(value, NavaError):
                raise value
            done[row["task_id"]] = value
        return done


class _StageWorker:
    """One worker of an operator: sets its stages up once.

    An error that ends the run comes back in the place of a task: raised here, Ray would drop the block in silence.
    """

    def __init__(self, stages: list[Stage]) -> None:
        self.stages = stages
        self.error: NavaError | None = None
        try:
            set_up(stages)
        except NavaError as error:
            self.error = error

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        done = [pickle.dumps(self._run(pickle.loads(data))) for data in batch["task"]]  # noqa: S301 - the driver's tasks
        return {"task_id": list(batch["task_id"]), "task": done}

    def _run(self, task: SourceTask) -> SourceTask | NavaError:
        if self.error is None:
            try:
                return run_stages(self.stages, task)
            except NavaError as error:
                self.error = error
        return self.error


def fused(stages: Sequence[Stage]) -> list[list[Stage]]:
    """Neighbouring stages that need the same share of a GPU, as one operator that needs the most of each."""
    groups = itertools.groupby(stages, key=lambda stage: stage.resources.gpu_share)
    return [list(group) for _, group in groups]


def _start(config: ExecutionConfig) -> Any:
    try:
        import ray
        import ray.data
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
    return ray
