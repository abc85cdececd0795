"""Runs on this machine that do not come to their end, or that may not begin. The pipeline itself is put in by hand."""

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from nava.cli import main
from nava.console import local_runner
from nava.console.local_runner import ending, run_locally
from nava.console.run_start import RunRequest, store_url
from nava.runtime.errors import InputError, NavaError
from nava.runtime.storage import read_json
from nava.runtime.store import RunRow, Store


def runs_as(monkeypatch: pytest.MonkeyPatch, body: Callable[[Store, str], None]) -> None:
    def run(request: RunRequest, run_dir: Path) -> None:
        body(Store(store_url(run_dir)), request.run_id)

    monkeypatch.setattr(local_runner, "_run_pipeline", run)


def record(request: RunRequest, run_dir: Path) -> RunRow:
    row = Store(store_url(run_dir)).run(request.run_id)
    assert row is not None
    return row


def test_ctrl_c_ends_the_run_on_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(store: Store, run_id: str) -> None:
        store.update_step(run_id, "ingest", state="running")
        raise KeyboardInterrupt

    runs_as(monkeypatch, interrupted)
    request = RunRequest(workspace=str(tmp_path))
    assert run_locally(request) == 130
    run_dir = tmp_path / "demo"
    assert record(request, run_dir).state == "interrupted"
    steps = {step.name: step.state for step in Store(store_url(run_dir)).steps(request.run_id)}
    assert steps["ingest"] == "interrupted"
    assert read_json(run_dir / "summary.json")["failure"]["step"] == "ingest"
    assert any("goes on from what is finished" in line for line in ending(request))


def test_an_unexpected_error_is_a_message_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(store: Store, run_id: str) -> None:
        raise OSError("disk full")

    runs_as(monkeypatch, broken)
    request = RunRequest(workspace=str(tmp_path))
    with pytest.raises(NavaError, match=r"OSError: disk full; log: .*kfp\.log") as caught:
        run_locally(request)
    assert caught.value.exit_code == 1
    run_dir = tmp_path / "demo"
    assert record(request, run_dir).state == "failed"
    assert "Traceback" in (run_dir / "logs" / request.run_id / "kfp.log").read_text()
    assert (run_dir / "index.html").is_file()


def test_an_earlier_runs_page_is_not_taken_for_this_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(store: Store, run_id: str) -> None:
        raise OSError("disk full")

    runs_as(monkeypatch, broken)
    with pytest.raises(NavaError):
        run_locally(RunRequest(workspace=str(tmp_path)))
    lines = ending(RunRequest(workspace=str(tmp_path)))
    assert "could not be written" in lines[0]


def test_one_run_at_a_time_in_a_folder(tmp_path: Path) -> None:
    run_dir = tmp_path / "demo"
    run_dir.mkdir()
    with (run_dir / ".run.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="a run is in progress in"):
            run_locally(RunRequest(workspace=str(tmp_path)))
    assert [path.name for path in run_dir.iterdir()] == [".run.lock"]


def test_the_lock_goes_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs_as(monkeypatch, lambda store, run_id: None)
    request = RunRequest(workspace=str(tmp_path))
    assert [run_locally(request), run_locally(request)] == [1, 1], "unfinished, but neither refused"


def test_a_workspace_that_cannot_be_written_is_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    result = CliRunner().invoke(main, ["pipeline", "run", "lifecycle", "--workspace", str(tmp_path / "file")])
    assert result.exit_code == 2
    assert "cannot be written" in result.output


def test_a_source_given_as_a_setting_is_looked_at_first(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        run_locally(RunRequest(workspace=str(tmp_path), overrides=[f"source.uri={tmp_path}/nowhere"]))
    assert list(tmp_path.iterdir()) == []


def test_another_pipeline_is_recorded_as_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[str] = []
    runs_as(monkeypatch, lambda store, run_id: planned.extend(step.name for step in store.steps(run_id)))
    request = RunRequest(workspace=str(tmp_path), pipeline="ablation")
    assert run_locally(request) == 1, "unfinished"
    assert record(request, tmp_path / "demo").pipeline == "ablation"
    assert planned[-1] == "compare"
