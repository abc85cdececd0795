"""What a run's folder says of it."""

import os
import socket
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from nava.artifacts.checkpoint import CheckpointManifest, part_of, publish, seal
from nava.runtime.errors import InputError
from nava.runtime.storage import read_json
from nava.training.job_file import first_difference, read_job
from nava.training.run_folder import (
    CHECKPOINTS,
    FAILED,
    FINISHED,
    HEARTBEAT_FILE,
    RUNNING,
    heartbeat,
    read_rows,
    read_state,
    write_state,
)
from nava.training.run_status import read_status, status_lines
from tests.training.small_run import a_job, a_run


def running(folder: Path, **changes: object) -> Path:
    write_state(folder, RUNNING, **{"pid": os.getpid(), "host": socket.gethostname(), "processes": 2, **changes})
    (folder / HEARTBEAT_FILE).touch()
    return folder


def test_a_run_that_runs(tmp_path: Path) -> None:
    folder = running(a_run(tmp_path))
    status = read_status(folder)
    assert (status.state, status.step, status.steps, status.samples) == ("running", 6, 20, 48)
    assert status.eta_s == pytest.approx(14 * 0.5)
    assert status.losses["loss_video"] == 1.5
    assert "loss_audio" not in status.losses
    assert status.speed["data_wait_share"] == pytest.approx(0.1)
    assert status.validation == {"step": 5, "loss": 3.5}
    assert status.spikes == 1
    lines = "\n".join(status_lines(status))
    assert "running: stage 1 of recipe smoke, 2 process(es)" in lines
    assert "step 6 of 20 (30 %), 7.0 s left" in lines
    assert "no checkpoint yet" in lines


def test_a_process_that_is_gone_was_interrupted(tmp_path: Path) -> None:
    folder = running(a_run(tmp_path), pid=2**22 + 1)
    status = read_status(folder)
    assert status.state == "interrupted"
    assert status.eta_s is None
    assert "the same command goes on" in status.error


def test_another_machine_is_believed_as_long_as_its_heart_beats(tmp_path: Path) -> None:
    folder = running(a_run(tmp_path), pid=2**22 + 1, host="far-away")
    assert read_status(folder).state == "running"
    assert read_status(folder, now=time.time() + 120).state == "interrupted"


def test_how_it_ended(tmp_path: Path) -> None:
    folder = running(a_run(tmp_path))
    write_state(folder, FAILED, error="the loss is nan", exit_code=1)
    assert read_status(folder).error == "the loss is nan"
    assert status_lines(read_status(folder))[-1] == "last error: the loss is nan"
    running(folder)
    assert read_status(folder).error == ""
    write_state(folder, FINISHED, exit_code=0)
    assert read_status(folder).state == "finished"
    state = read_state(folder)
    assert state is not None
    assert state.processes == 2


def test_before_it_started_there_is_nothing_to_tell(tmp_path: Path) -> None:
    a_job(tmp_path).write(tmp_path / "job.json")
    status = read_status(tmp_path)
    assert (status.state, status.step) == ("not started", 0)
    assert status_lines(status)


def test_the_newest_checkpoint_and_its_age(tmp_path: Path) -> None:
    folder = running(a_run(tmp_path))
    for step in (3, 6):
        manifest = CheckpointManifest(1, step, 8 * step, "hash", {}, validation_loss=step / 2)
        part = part_of(folder / CHECKPOINTS, step)
        part.mkdir(parents=True)
        (part / "x").write_text("x")
        publish(part, seal(part, manifest))
    found = read_status(folder, now=time.time() + 30).checkpoint
    assert found is not None
    assert (found.step, found.count, found.validation_loss) == (6, 2, 3.0)
    assert found.age_s == pytest.approx(30, abs=5)
    (folder / CHECKPOINTS / "step-00000006" / "manifest.json").write_text("{")
    older = read_status(folder).checkpoint
    assert older is not None
    assert older.step == 3


def test_a_line_that_was_cut_off_does_not_count(tmp_path: Path) -> None:
    folder = a_run(tmp_path)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 7, "lo')
    assert [row["step"] for row in read_rows(folder / "metrics.jsonl")] == [1, 2, 3, 4, 5, 6]


def test_the_heart_beats_while_the_block_runs(tmp_path: Path) -> None:
    with heartbeat(tmp_path):
        end = time.monotonic() + 10
        while not (tmp_path / HEARTBEAT_FILE).is_file():
            assert time.monotonic() < end
            time.sleep(0.01)


def test_a_job_comes_back_as_it_was_written(tmp_path: Path) -> None:
    job = a_job(tmp_path)
    job.write(tmp_path / "job.json")
    assert read_job(tmp_path / "job.json") == job
    assert asdict(job) == read_json(tmp_path / "job.json")
    (tmp_path / "job.json").write_text('{"schema_version": 9}')
    with pytest.raises(InputError, match="not a training job of version 1"):
        read_job(tmp_path / "job.json")


def test_the_length_makes_no_other_run_and_a_setting_does(tmp_path: Path) -> None:
    assert first_difference(a_job(tmp_path), a_job(tmp_path, steps=99)) == ""
    assert first_difference(a_job(tmp_path), a_job(tmp_path, "training.report_every_s=1", "tracking.uri=x")) == ""
    changed = a_job(tmp_path, "model.dim=64")
    assert first_difference(a_job(tmp_path), changed) == "model.dim was 96 and is 64"
    assert a_job(tmp_path).key != a_job(tmp_path, steps=99).key
    assert a_job(tmp_path, steps=None).length == 24
