"""MLflow shows a run while it runs: a process of its own reads the files that training writes, and sends what is new.

Not a thread: MLflow's imports and its database would take turns with training. Training starts it, tells it how it
ended, and else knows nothing of it. A server that is down costs a warning; rows are sent when it is back, or stay in
`metrics.jsonl`. What was sent is noted in the run's folder, so a resumed run goes on in the same MLflow run and sends
nothing twice. (After a loss spike with policy rewind, steps that are done again keep the values of the first time.)

`python -m nava.training.mlflow_mirror FOLDER PID`: a word on stdin is how training ended, its closing alone means that
training was killed. Exit code 1: not everything was sent.
"""

from __future__ import annotations

import json
import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nava.config.tracking import TrackingConfig
from nava.runtime.storage import read_json, write_json
from nava.training.interruption import TrainingStoppedError
from nava.training.job_file import read_job
from nava.training.row_metrics import SystemMetrics, event_metrics, row_metrics
from nava.training.run_folder import (
    CONFIG_FILE,
    EVENTS_FILE,
    JOB_FILE,
    METRICS_FILE,
    MLFLOW_FILE,
    RECORD_FILE,
    SAMPLES,
)

_PER_CALL, _PARAMS_PER_CALL = 1000, 100
_LONGEST_PARAM = 500
_LONGEST_PAUSE_S = 60.0
_LAST_TRIES = 3


@dataclass
class _Sent:
    """What the MLflow run has: rows up to a step, so many events, its files."""

    uri: str = ""
    run_id: str = ""
    step: int = 0
    events: int = 0
    files: list[str] = field(default_factory=list)


class MlflowMirror:
    """Sends what is new in a run's folder to MLflow.

    Args:
        folder: of the run.
        config: where MLflow is.
        pid: of the process that leads, whose memory is measured.
    """

    def __init__(self, folder: Path, config: TrackingConfig, pid: int) -> None:
        self._folder, self._config = folder, config
        self._client: Any = None
        self._sent = _Sent()
        self._rows = Tail(folder / METRICS_FILE)
        self._pending: list[dict[str, Any]] = []
        self._system = SystemMetrics(pid)

    def finish(self, status: str) -> None:
        """Send the rest and mark the run as FINISHED, FAILED or KILLED."""
        self.send()
        self._client.set_terminated(self._sent.run_id, status)

    def send(self) -> None:
        """Send everything that is new. Raises whatever MLflow does; what was not sent is sent next time."""
        if self._client is None:
            self._connect()
        self._pending += self._rows.new()
        self._pending = [row for row in self._pending if row["step"] > self._sent.step]
        while self._pending:
            self._send_rows()
        self._send_events()
        self._send_files()
        self._send_system()

    def _send_rows(self) -> None:
        """As many rows as fit into a call."""
        from mlflow.entities import Metric

        metrics: list[Any] = []
        count = 0
        for row in self._pending:
            values = row_metrics(row)
            if count and len(metrics) + len(values) > _PER_CALL:
                break
            at_ms = int(1000 * row.get("time", time.time()))
            metrics += [Metric(name, value, at_ms, row["step"]) for name, value in values.items()]
            count += 1
        self._client.log_batch(self._sent.run_id, metrics=metrics)
        self._sent.step = self._pending[count - 1]["step"]
        del self._pending[:count]
        self._note()

    def _send_events(self) -> None:
        from mlflow.entities import Metric

        events = Tail(self._folder / EVENTS_FILE).new()
        for event in events[self._sent.events :]:
            at_ms = int(1000 * event["time"])
            metrics = [Metric(name, value, at_ms, event["done"]) for name, value in event_metrics(event).items()]
            if metrics:
                self._client.log_batch(self._sent.run_id, metrics=metrics)
            self._sent.events += 1
            self._note()

    def _send_files(self) -> None:
        """The resolved configuration, the run record, and samples as they come."""
        for name in (CONFIG_FILE, RECORD_FILE):
            if name not in self._sent.files and (self._folder / name).is_file():
                self._client.log_artifact(self._sent.run_id, str(self._folder / name))
                self._sent.files.append(name)
                self._note()
        for made in sorted((self._folder / SAMPLES).glob("step-*")):
            name = f"{SAMPLES}/{made.name}"
            if name not in self._sent.files:
                self._client.log_artifacts(self._sent.run_id, str(made), name)
                self._sent.files.append(name)
                self._note()

    def _send_system(self) -> None:
        from mlflow.entities import Metric

        now_ms = int(1000 * time.time())
        metrics = [Metric(name, value, now_ms, self._sent.step) for name, value in self._system.read().items()]
        if metrics:
            self._client.log_batch(self._sent.run_id, metrics=metrics)

    def _note(self) -> None:
        write_json(self._folder / MLFLOW_FILE, asdict(self._sent))

    def _connect(self) -> None:
        """The client, and the run of an earlier attempt or a new one."""
        client = _client(self._config)
        path = self._folder / MLFLOW_FILE
        sent = _Sent(**read_json(path)) if path.is_file() else _Sent()
        if sent.uri != self._config.uri or not _is_there(client, sent.run_id):
            run = client.create_run(_experiment(client, self._config), run_name=self._name(), tags=self._tags())
            sent = _Sent(self._config.uri, str(run.info.run_id))
            self._log_params(client, sent.run_id)
        else:
            client.update_run(sent.run_id, status="RUNNING")
        self._client, self._sent = client, sent
        self._note()

    def _name(self) -> str:
        job = read_job(self._folder / JOB_FILE)
        return f"{job.recipe}-stage{job.stage}-seed{job.seed}"

    def _tags(self) -> dict[str, str]:
        job = read_job(self._folder / JOB_FILE)
        return {"nava.recipe": job.recipe, "nava.stage": str(job.stage), "nava.folder": str(self._folder)}

    def _log_params(self, client: Any, run_id: str) -> None:
        from mlflow.entities import Param

        job = read_job(self._folder / JOB_FILE)
        values = {"recipe": job.recipe, "stage": job.stage, "seed": job.seed, "steps": job.length}
        params = [Param(name, text[:_LONGEST_PARAM]) for name, text in _flat(values | job.identity).items()]
        for first in range(0, len(params), _PARAMS_PER_CALL):
            client.log_batch(run_id, params=params[first : first + _PARAMS_PER_CALL])


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:200] or type(error).__name__


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": str(value)}
    return found


def _client(config: TrackingConfig) -> Any:
    """A quiet client that gives up soon; MLflow reads these variables and has no other switch."""
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ[name] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(max(1, round(config.timeout_s)))
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    from mlflow import MlflowClient

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return MlflowClient(tracking_uri=config.uri, registry_uri=config.uri)


def _experiment(client: Any, config: TrackingConfig) -> str:
    if found := client.get_experiment_by_name(config.experiment):
        return str(found.experiment_id)
    location = None
    if config.uri.startswith("sqlite:///"):
        # The default would be the working folder.
        location = (Path(config.uri.removeprefix("sqlite:///")).resolve().parent / "mlartifacts").as_uri()
    return str(client.create_experiment(config.experiment, artifact_location=location))


def _is_there(client: Any, run_id: str) -> bool:
    from mlflow.exceptions import MlflowException

    if not run_id:
        return False
    try:
        return client.get_run(run_id).info.lifecycle_stage == "active"
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return False
        raise


@contextmanager
def mirrored(folder: Path, config: TrackingConfig, log: Callable[[str], None]) -> Iterator[None]:
    """Show a run in MLflow while the block runs. Nothing that happens there reaches the block.

    Args:
        folder: of the run.
        config: where MLflow is.
        log: takes plain lines.
    """
    argv = [sys.executable, "-m", "nava.training.mlflow_mirror", str(folder), str(os.getpid())]
    try:
        # A session of its own: Ctrl-C is for training, which says how it ended.
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, start_new_session=True)
    except OSError as error:
        log(f"warning: nothing is logged to MLflow: {error}")
        yield
        return
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except (TrainingStoppedError, KeyboardInterrupt):
        status = "KILLED"
        raise
    finally:
        try:
            process.communicate(status.encode(), timeout=config.drain_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.returncode:
            log(f"warning: MLflow at {config.uri} has not got all rows; they are in {folder / METRICS_FILE}")


class Tail:
    """Reads what was appended to a file of JSON lines since the last time, or all of it if the file was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = self._file = 0

    def new(self) -> list[dict[str, Any]]:
        """Whole lines only: what is being written now comes next time."""
        try:
            with self._path.open("rb") as file:
                found = os.fstat(file.fileno())
                if found.st_ino != self._file or found.st_size < self._offset:
                    self._file, self._offset = found.st_ino, 0
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [json.loads(line) for line in whole.splitlines()]


def main(arguments: list[str]) -> int:
    """Mirror the run of a folder until training ends; returns the exit code."""
    folder, pid = Path(arguments[0]), int(arguments[1])
    # Whatever this costs, training comes first.
    os.nice(10)
    config = TrackingConfig(**read_json(folder / JOB_FILE)["config"]["tracking"])
    mirror = MlflowMirror(folder, config, pid)
    failures, pause_s, ended, give_up_at = 0, config.every_s, False, 0.0
    while True:
        if not ended and select.select([sys.stdin], [], [], pause_s)[0]:
            ended, give_up_at = True, time.monotonic() + config.drain_s
            status = sys.stdin.read().strip() or "KILLED"
        try:
            if ended:
                mirror.finish(status)
                return 0
            mirror.send()
            if failures:
                print(f"MLflow at {config.uri} answers again", flush=True)
            failures, pause_s = 0, config.every_s
        # Servers, networks and databases fail in ways of their own, none of which is training's.
        except Exception as error:
            failures += 1
            pause_s = min(_LONGEST_PAUSE_S, config.every_s * 2**failures)
            if failures == 1:
                print(f"warning: MLflow at {config.uri} does not take rows ({_line(error)}); trying on", flush=True)
            # Who just ended may wait for a moment, not for a server that was away all along.
            if ended and (failures > _LAST_TRIES or time.monotonic() > give_up_at):
                return 1
            if ended:
                time.sleep(config.every_s)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
