"""Every ZeRO stage, in one process and in two, trains as a plain loop does; and goes on as if it had not stopped."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from nava.runtime.hashing import sha256_tree
from nava.training.run_folder import read_rows
from tests.training.plain_loop import plain_losses
from tests.training.stage_runs import STEPS, job_of, run_in

# What two processes cut in four ways, one does not have to cut in all of them.
CASES = [(1, 1), (1, 3), (2, 0), (2, 1), (2, 2), (2, 3)]
STOPPED = (1, 3)


def runs_of(processes: int, folder: Path) -> Path:
    """Twenty steps under each ZeRO stage: in one go, and of some with a stop after the tenth."""
    listed: list[dict[str, Any]] = []
    for _, stage in (case for case in CASES if case[0] == processes):
        training = {"zero_stage": stage}
        listed.append({"workdir": f"zero{stage}", "training": training})
        if stage in STOPPED:
            listed.append({"workdir": f"stopped{stage}", "training": training, "stop_at": 10})
            listed.append({"workdir": f"stopped{stage}", "training": training})
    done = run_in(processes, folder, listed)
    assert done.returncode == 0, done.stderr[-3000:]
    # All processes stop, the first one says that it goes on.
    assert done.stdout.count("10 of 20 steps are saved") == len(STOPPED) * processes
    assert done.stdout.count("goes on after step 10 of 20") == len(STOPPED)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    return {processes: runs_of(processes, tmp_path_factory.mktemp(f"runs{processes}")) for processes in (1, 2)}


@pytest.fixture(scope="module")
def plain() -> tuple:
    return plain_losses(job_of(Path(), {"engine": "plain"}))


@pytest.mark.parametrize(("processes", "stage"), CASES)
def test_losses_norms_and_averages_are_those_of_the_plain_loop(
    runs: dict[int, Path], plain: tuple, processes: int, stage: int
) -> None:
    losses, norms, average = plain
    rows = read_rows(runs[processes] / f"zero{stage}" / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert len({round(loss, 4) for loss in losses}) > 15
    assert [row["loss"] for row in rows] == pytest.approx(losses, rel=1e-5)
    assert [row["grad_norm"] for row in rows] == pytest.approx(norms, rel=1e-4)
    found = load_file(runs[processes] / f"zero{stage}" / "result" / "model.safetensors")
    assert set(found) == set(average)
    for name, value in average.items():
        assert found[name].numpy() == pytest.approx(value.numpy(), abs=2e-4), name


@pytest.mark.parametrize(("processes", "stage"), [case for case in CASES if case[1] in STOPPED])
def test_ten_steps_and_ten_more_are_twenty_bit_for_bit(runs: dict[int, Path], processes: int, stage: int) -> None:
    folder = runs[processes]
    assert sha256_tree(folder / f"stopped{stage}" / "result") == sha256_tree(folder / f"zero{stage}" / "result")
    straight, stopped = (read_rows(folder / f"{name}{stage}" / "metrics.jsonl") for name in ("zero", "stopped"))
    for name in ("step", "loss", "lr", "grad_norm", "batches", "samples"):
        assert [row[name] for row in stopped] == [row[name] for row in straight]


def test_another_number_of_processes_and_another_stage_see_the_samples_that_were_left(tmp_path: Path) -> None:
    """Two processes under ZeRO 3 stop after ten steps; one under ZeRO 1 goes on from their checkpoint."""
    training = {"zero_stage": 3}
    straight = run_in(1, tmp_path, [{"workdir": "straight", "training": training}])
    stopped = run_in(2, tmp_path, [{"workdir": "moved", "training": training, "stop_at": 10}])
    assert (straight.returncode, stopped.returncode) == (0, 0), stopped.stderr[-3000:]
    resumed = run_in(1, tmp_path, [{"workdir": "moved", "training": training}])
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert "goes on after step 10 of 20" in resumed.stdout
    rows, expected = (read_rows(tmp_path / name / "metrics.jsonl") for name in ("moved", "straight"))
    assert [row["batches"] for row in rows] == [row["batches"] for row in expected]
    assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in expected], rel=1e-5)
    assert json.loads((tmp_path / "moved" / "result" / "manifest.json").read_text())["step"] == STEPS
