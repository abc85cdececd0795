"""Worker processes that may die: each unit is handed to one process, so a killed process names its unit.

A unit whose worker died waits until all others are done and is then run alone, again and again up to a number of
attempts: workers also die for want of memory or because their node went away. A unit that ends every worker is reported
as poison, and the rest is unharmed.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, Generic, TypeVar

from nava.runtime.errors import NavaError
from nava.runtime.parent_death import end_after_parent

Unit = TypeVar("Unit")
Result = TypeVar("Result")
_EXIT_GRACE_S = 5.0
_START_GRACE_S = 300.0


@dataclass(frozen=True)
class Outcome(Generic[Unit, Result]):
    """What became of a unit: `result`, or `failure` (`killed`, `timed_out`, `error`) with its detail."""

    unit: Unit
    result: Result | None = None
    failure: str = ""
    detail: str = ""


class _Worker:
    """A process and the pipe to it; it ends by itself when the parent's end of the pipe closes, or with the parent."""

    def __init__(self, function: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, function, os.getpid()), daemon=True)
        self.process.start()
        theirs.close()
        self.unit: Any = None
        self.timeout_s = self.deadline = 0.0

    def give(self, unit: Any, timeout_s: float) -> None:
        # The unit's time begins when the worker says so: starting a process and importing is not the unit's fault.
        self.unit, self.timeout_s = unit, timeout_s
        self.deadline = time.monotonic() + timeout_s + _START_GRACE_S
        self.pipe.send(unit)

    def has_begun(self) -> None:
        """The unit is being worked on from now."""
        self.deadline = time.monotonic() + self.timeout_s

    def stop(self, kill: bool = False) -> None:
        self.pipe.close()
        if kill:
            self.process.kill()
        self.process.join(_EXIT_GRACE_S)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()


def _work(pipe: Connection, function: Callable[[Any], Any], parent_pid: int) -> None:
    # A unit may take long, and whoever gave it may be killed meanwhile and give it to another.
    end_after_parent(parent_pid, patience_s=0.0)
    _serve(pipe, function)


def _serve(pipe: Connection, function: Callable[[Any], Any]) -> None:
    while True:
        try:
            unit = pipe.recv()
            pipe.send(("begun", None))
        except (EOFError, OSError):
            return
        answer: tuple[str, Any]
        try:
            answer = ("result", function(unit))
        except NavaError as error:
            answer = ("stop", error)
        except Exception as error:  # the unit's fault stays the unit's
            answer = ("error", f"{type(error).__name__}: {error}")
        try:
            pipe.send(answer)
        except OSError:  # whoever asked was killed meanwhile, and needs no answer
            return


class WorkerPool(Generic[Unit, Result]):
    """`workers` spawned processes that run `function` on units and stay from one run to the next, until `close`.

    `function` and units must pickle; `function` must leave no half-written state when its process is killed.
    """

    def __init__(self, function: Callable[[Unit], Result], workers: int, timeout_s: float, attempts: int) -> None:
        self.function, self.workers, self.timeout_s, self.attempts = function, workers, timeout_s, attempts
        self._idle: list[_Worker] = []

    def run(self, units: Sequence[Unit]) -> Iterator[Outcome[Unit, Result]]:
        """Outcomes as they come, one per unit.

        Raises:
            NavaError: `function` raised it: no unit can be done.
        """
        suspects: list[Unit] = []
        for outcome in self._run(list(units), self.workers):
            if outcome.failure == "killed":
                suspects.append(outcome.unit)
            else:
                yield outcome
        for unit in suspects:
            yield self._run_alone(unit)

    def close(self) -> None:
        """End the processes."""
        while self._idle:
            self._idle.pop().stop()

    def _run_alone(self, unit: Unit) -> Outcome[Unit, Result]:
        """A unit that has ended one worker already."""
        for _ in range(self.attempts - 1):
            (outcome,) = self._run([unit], 1)
            if outcome.failure != "killed":
                return outcome
        return Outcome(unit, failure="killed", detail=f"ended its worker process each of {self.attempts} times")

    def _run(self, waiting: list[Unit], workers: int) -> Iterator[Outcome[Unit, Result]]:
        busy: list[_Worker] = []
        waiting.reverse()
        try:
            while waiting or busy:
                while waiting and len(busy) < workers:
                    worker = self._idle.pop() if self._idle else _Worker(self.function)
                    busy.append(worker)
                    try:
                        worker.give(waiting[-1], self.timeout_s)
                    except OSError:  # it died idle, before this unit: the unit is not to blame
                        busy.remove(worker)
                        worker.stop(kill=True)
                        continue
                    waiting.pop()
                nearest = min(worker.deadline for worker in busy) - time.monotonic()
                ready = wait([worker.pipe for worker in busy], timeout=max(nearest, 0.0))
                for worker in list(busy):
                    outcome = _collect(worker, worker.pipe in ready)
                    if outcome is None:
                        continue
                    busy.remove(worker)
                    if outcome.failure in ("killed", "timed_out"):
                        worker.stop(kill=True)
                    else:
                        self._idle.append(worker)
                    yield outcome
        finally:
            for worker in busy:
                worker.stop(kill=True)


def run_units(
    function: Callable[[Unit], Result], units: Sequence[Unit], workers: int, timeout_s: float, attempts: int
) -> Iterator[Outcome[Unit, Result]]:
    """One run of a `WorkerPool` that ends with it.

    Raises:
        NavaError: `function` raised it: no unit can be done.
    """
    pool = WorkerPool(function, workers, timeout_s, attempts)
    try:
        yield from pool.run(units)
    finally:
        pool.close()


def _collect(worker: _Worker, ready: bool) -> Outcome[Any, Any] | None:
    """What a worker has to say; None while it still works."""
    if ready:
        try:
            kind, value = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join(_EXIT_GRACE_S)
            return Outcome(
                worker.unit, failure="killed", detail=f"its worker process ended with code {worker.process.exitcode}"
            )
        if kind == "stop":
            raise value
        if kind == "begun":
            worker.has_begun()
            return None
        return (
            Outcome(worker.unit, result=value)
            if kind == "result"
            else Outcome(worker.unit, failure="error", detail=value)
        )
    if time.monotonic() >= worker.deadline:
        return Outcome(
            worker.unit, failure="timed_out", detail="its worker process did not finish in time and was ended"
        )
    return None
