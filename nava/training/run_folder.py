"""What lies where in the folder of a stage's run, and how it is read back. Imports nothing heavy: status reads it too.

::

    job.json            what is to be trained, for the processes that do it (nava.training.job_file)
    state.json          whether it runs, and how it ended
    heartbeat           touched while it runs
    metrics.jsonl       a row per optimizer step
    events.jsonl        validations, spikes
    checkpoints/        where it goes on
    samples/step-N/     clips that the model made on the way
    result/             the trained weights, written at the end
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nava.artifacts.checkpoint import MANIFEST_FILE
from nava.runtime.hashing import canonical_json
from nava.runtime.storage import read_json, write_json

JOB_FILE = "job.json"
CONFIG_FILE = "config.json"
RECORD_FILE = "run_record.json"
STATE_FILE = "state.json"
HEARTBEAT_FILE = "heartbeat"
METRICS_FILE = "metrics.jsonl"
EVENTS_FILE = "events.jsonl"
CHECKPOINTS = "checkpoints"
SAMPLES = "samples"
RESULT_FOLDER = "result"
PAGE_FILE = "training.html"
MLFLOW_FILE = "mlflow.json"

RUNNING, FINISHED, STOPPED, FAILED = "running", "finished", "stopped", "failed"
_BEAT_S = 5.0


@dataclass(frozen=True)
class RunState:
    """How a run stands.

    Attributes:
        state: running, finished, stopped (told to) or failed.
        started_at, at: seconds since the epoch; `at` is when this was written.
        pid, host: of the process that leads.
        processes: that train together.
        error: the line that it ended with; empty while nothing is wrong.
        exit_code: of the process that leads; None while it runs.
    """

    state: str
    started_at: float
    at: float
    pid: int
    host: str
    processes: int = 1
    error: str = ""
    exit_code: int | None = None


def result_of(place: Path) -> Path:
    """A run's folder stands for its result, where there is one; any other place for itself."""
    result = place / RESULT_FOLDER
    return result if (result / MANIFEST_FILE).is_file() else place


def write_state(folder: Path, state: str, **changes: Any) -> None:
    """Write how a run stands; what is not given stays as it was."""
    now = time.time()
    before = read_state(folder)
    if state == RUNNING or before is None:
        before = RunState(state, now, now, os.getpid(), socket.gethostname())
    write_json(folder / STATE_FILE, asdict(before) | {"state": state, "at": now} | changes)


def read_state(folder: Path) -> RunState | None:
    """How a run stands by its own words; None if it never started."""
    path = folder / STATE_FILE
    return RunState(**read_json(path)) if path.is_file() else None


@contextmanager
def heartbeat(folder: Path) -> Iterator[None]:
    """Touch the folder's heartbeat now and then, in a thread, while the block runs."""
    ended = threading.Event()

    def beat() -> None:
        while True:
            (folder / HEARTBEAT_FILE).touch()
            if ended.wait(_BEAT_S):
                return

    thread = threading.Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def record_event(folder: Path, kind: str, done: int, **values: object) -> None:
    """Append an event to the run's list.

    Args:
        folder: of the run.
        kind: "validation", "spike", "not_finite", "samples" or "warning".
        done: optimizer steps done.
        values: JSON values.
    """
    with (folder / EVENTS_FILE).open("a") as file:
        file.write(canonical_json({"event": kind, "done": done, "time": time.time(), **values}) + "\n")


def read_events(folder: Path) -> list[dict[str, Any]]:
    """The events so far."""
    return read_rows(folder / EVENTS_FILE)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines; a last line that was cut off is left out."""
    rows = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows
