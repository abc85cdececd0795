"""A run shown in MLflow: everything once, in one run, however often it is taken up again."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from nava.config.tracking import TrackingConfig
from nava.runtime.errors import NavaError
from nava.runtime.storage import read_json, write_json
from nava.training.interruption import TrainingStoppedError
from nava.training.mlflow_mirror import MlflowMirror, Tail, mirrored
from tests.training.small_run import a_run, add_rows


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow") / "mlflow.db"


@pytest.fixture
def config(database: Path) -> TrackingConfig:
    return TrackingConfig(uri=f"sqlite:///{database}", every_s=0.2)


def client(config: TrackingConfig):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=config.uri)


def steps_of(config: TrackingConfig, folder: Path, name: str) -> list[int]:
    run_id = read_json(folder / "mlflow.json")["run_id"]
    return [metric.step for metric in client(config).get_metric_history(run_id, name)]


def test_rows_events_settings_and_files_arrive(tmp_path: Path, config: TrackingConfig) -> None:
    folder = a_run(tmp_path / "run")
    write_json(folder / "config.json", {"a": 1})
    (folder / "samples" / "step-00000005").mkdir(parents=True)
    (folder / "samples" / "step-00000005" / "0.mp4").write_bytes(b"film")
    MlflowMirror(folder, config, os.getpid()).finish("FINISHED")
    run = client(config).get_run(read_json(folder / "mlflow.json")["run_id"])
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "smoke-stage1-seed0"
    assert run.data.metrics["loss"] == 0.5
    assert run.data.metrics["data_wait_share"] == pytest.approx(0.1)
    assert run.data.metrics["validation/t2av_video/sigma_0.5"] == 2.0
    assert run.data.metrics["spike"] == 99.0
    assert run.data.metrics["system/process_memory_megabytes"] > 1
    assert run.data.params["training.learning_rate"] == "0.004"
    assert len(run.data.params) > 100
    found = {file.path for file in client(config).list_artifacts(run.info.run_id)}
    assert found == {"config.json", "samples"}


def test_a_resumed_run_goes_on_in_the_same_run_and_sends_nothing_twice(tmp_path: Path, config: TrackingConfig) -> None:
    folder = a_run(tmp_path / "run")
    MlflowMirror(folder, config, os.getpid()).send()
    before = read_json(folder / "mlflow.json")["run_id"]
    # A checkpoint at step 4: two steps are taken back and done again.
    lines = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(lines[:4]))
    second = MlflowMirror(folder, config, os.getpid())
    second.send()
    add_rows(folder, 5, 9)
    second.finish("FINISHED")
    assert read_json(folder / "mlflow.json")["run_id"] == before
    assert steps_of(config, folder, "loss") == list(range(1, 10))
    assert steps_of(config, folder, "validation/loss") == [0, 5]


def test_a_run_that_was_removed_there_is_made_anew(tmp_path: Path, config: TrackingConfig) -> None:
    folder = a_run(tmp_path / "run")
    MlflowMirror(folder, config, os.getpid()).send()
    client(config).delete_run(read_json(folder / "mlflow.json")["run_id"])
    MlflowMirror(folder, config, os.getpid()).send()
    assert steps_of(config, folder, "loss") == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, "FINISHED"), (TrainingStoppedError("stop"), "KILLED"), (NavaError("nan"), "FAILED")],
)
def test_how_training_ended_is_told(
    tmp_path: Path, config: TrackingConfig, error: Exception | None, status: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    folder = a_run(tmp_path / "run", 6, f"tracking.uri={config.uri}", "tracking.every_s=0.2")
    told: list[str] = []
    with suppress(NavaError), mirrored(folder, config, told.append):
        if error is not None:
            raise error
    assert told == []
    assert client(config).get_run(read_json(folder / "mlflow.json")["run_id"]).info.status == status


def test_a_dead_server_is_a_warning_and_costs_little_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{probe.getsockname()[1]}"
    folder = a_run(tmp_path / "run", 6, f"tracking.uri={uri}", "tracking.every_s=0.1", "tracking.timeout_s=1")
    told: list[str] = []
    with mirrored(folder, TrackingConfig(uri=uri, every_s=0.1, timeout_s=1.0), told.append):
        started = time.monotonic()
        entered_s = time.monotonic() - started
    assert entered_s < 1
    assert told == [f"warning: MLflow at {uri} has not got all rows; they are in {folder / 'metrics.jsonl'}"]


def test_one_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        uri = f"http://127.0.0.1:{silent.getsockname()[1]}"
        folder = a_run(tmp_path / "run", 6, f"tracking.uri={uri}")
        told: list[str] = []
        with mirrored(folder, TrackingConfig(uri=uri, drain_s=0.5), told.append):
            pass
    assert "has not got all rows" in told[0]


def test_when_training_is_killed_the_rest_is_sent(tmp_path: Path, config: TrackingConfig) -> None:
    folder = a_run(tmp_path / "run", 6, f"tracking.uri={config.uri}", "tracking.every_s=0.2")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    argv = [sys.executable, "-m", "nava.training.mlflow_mirror", str(folder), "1"]
    # Standard input that just closes.
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, env=environment, check=False)
    assert done.returncode == 0
    run = client(config).get_run(read_json(folder / "mlflow.json")["run_id"])
    assert run.info.status == "KILLED"
    assert steps_of(config, folder, "loss") == [1, 2, 3, 4, 5, 6]


def test_a_tail_reads_whole_lines_once_and_a_new_file_from_its_start(tmp_path: Path) -> None:
    path, tail = tmp_path / "rows.jsonl", Tail(tmp_path / "rows.jsonl")
    assert tail.new() == []
    path.write_text('{"step": 1}\n{"st')
    assert tail.new() == [{"step": 1}]
    with path.open("a") as file:
        file.write('ep": 2}\n')
    assert tail.new() == [{"step": 2}]
    assert tail.new() == []
    other = tmp_path / "other"
    other.write_text(json.dumps({"step": 1}) + "\n")
    other.replace(path)
    assert tail.new() == [{"step": 1}]
