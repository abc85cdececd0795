"""Launching on this machine: real torchrun agents, real ranks, real signals."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nava.config.launch import LaunchConfig
from nava.launch.command import LaunchFailedError, LaunchStoppedError, TrainingCommand, make_launcher
from nava.launch.processes import LOG_FOLDER

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RANKS = HERE / "two_ranks.py"
PATIENCE_S = 120.0


@pytest.fixture(autouse=True)
def _children_import_this_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def launch(folder: Path, nodes: int, processes: int, *arguments: str) -> None:
    argv = ("python", str(RANKS), *arguments)
    command = TrainingCommand("train_stage1", "key", argv, folder, {"COLOUR": "blue"}, grace_period_s=5.0)
    make_launcher(LaunchConfig(nodes=nodes, processes_per_node=processes)).run(command)


def alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.05)


def test_two_ranks_meet_and_their_lines_are_streamed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    launch(tmp_path, 1, 2, "meet")
    lines = capfd.readouterr().out.splitlines()
    said = f"sum 3 of 2 ranks, blue, {tmp_path.name}"
    assert sorted(lines) == [f"[rank 0] {said}", f"[rank 1] {said}"]
    logs = sorted((tmp_path / LOG_FOLDER / "node0").glob("*/attempt_0/*/stdout.log"))
    assert [log.read_text() for log in logs] == [f"{said}\n", f"{said}\n"]


def test_two_agents_with_one_rendezvous_are_two_nodes_and_a_wrong_input_keeps_its_exit_code(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(LaunchFailedError) as caught:
        launch(tmp_path, 2, 1, "wrong-input", "1")
    message = "train_stage1: rank 1 ended with exit code 2: training.stage1.steps is 0; it must be at least 1"
    assert str(caught.value) == message
    assert caught.value.exit_code == 2
    out = capfd.readouterr().out
    assert "[rank 0] sum 3 of 2 ranks" in out
    assert "[rank 1] sum 3 of 2 ranks" in out


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("fail", "rank 1 ended with exit code 1: ValueError: rank 1 cannot go on"),
        ("killed", "rank 1 was killed by SIGKILL (out of memory?)"),
    ],
)
def test_a_rank_that_fails_is_named_and_not_the_one_that_lost_it(tmp_path: Path, what: str, message: str) -> None:
    with pytest.raises(LaunchFailedError) as caught:
        launch(tmp_path, 1, 2, what, "1")
    sentence = str(caught.value).replace("was killed by SIGABRT", "ended with exit code 1")  # gloo's threads may abort
    assert sentence == f"train_stage1: {message}"
    assert caught.value.exit_code == 1


def test_ranks_that_were_told_to_stop_and_saved_have_not_failed(tmp_path: Path) -> None:
    with pytest.raises(LaunchStoppedError) as caught:
        launch(tmp_path, 1, 2, "stopped", "1")
    assert str(caught.value) == "train_stage1: rank 1 ended with exit code 143: 2 of 9 steps are saved"
    assert (caught.value.exit_code, caught.value.state) == (143, "interrupted")


def start(folder: Path, grace_s: float, what: str) -> tuple["subprocess.Popen[str]", list[int]]:
    """A launcher in a process of its own, and the process ids of its ranks once they run."""
    argv = [sys.executable, str(HERE / "launch_two_ranks.py"), str(folder), str(grace_s), what]
    launcher = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
    ready = [folder / "ready0", folder / "ready1"]
    wait_for(lambda: all(file.is_file() and file.read_text() for file in ready), "both ranks ran")
    return launcher, [int(file.read_text()) for file in ready]


def test_sigterm_reaches_the_ranks_which_save_within_their_grace_period(tmp_path: Path) -> None:
    launcher, ranks = start(tmp_path, 20, "wait")
    launcher.send_signal(signal.SIGTERM)
    _, errors = launcher.communicate(timeout=PATIENCE_S)
    assert launcher.returncode == 143
    assert "nava: train_stage1 was told to stop: so were its ranks, and ended within" in errors
    assert (tmp_path / "saved0").is_file()
    assert (tmp_path / "saved1").is_file()
    assert not any(alive(rank) for rank in ranks)


def test_ranks_that_do_not_end_are_killed_after_their_grace_period(tmp_path: Path) -> None:
    launcher, ranks = start(tmp_path, 1, "stubborn")
    launcher.send_signal(signal.SIGTERM)
    _, errors = launcher.communicate(timeout=PATIENCE_S)
    assert launcher.returncode == 143
    assert "were killed when the grace period was over" in errors
    assert not any(alive(rank) for rank in ranks)


def test_a_killed_launcher_leaves_no_rank_behind(tmp_path: Path) -> None:
    launcher, ranks = start(tmp_path, 1, "stubborn")
    launcher.kill()
    launcher.communicate(timeout=PATIENCE_S)
    wait_for(lambda: not any(alive(rank) for rank in ranks), "the ranks ended")


def test_a_killed_agent_takes_its_ranks_along(tmp_path: Path) -> None:
    launcher, ranks = start(tmp_path, 1, "stubborn")
    agent = int(Path(f"/proc/{ranks[0]}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(agent, signal.SIGKILL)
    _, errors = launcher.communicate(timeout=PATIENCE_S)
    assert launcher.returncode == 1
    assert "the agent was killed by SIGKILL" in errors
    wait_for(lambda: not any(alive(rank) for rank in ranks), "the ranks ended")


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("wrong-input", 2, "training.stage1.steps is 0; it must be at least 1"),
        ("diverged", 4, "the loss is nan"),
        ("stopped", 143, "2 of 9 steps are saved"),
    ],
)
def test_a_pod_ends_as_its_rank_did(tmp_path: Path, what: str, code: int, words: str) -> None:
    """Two agents with the variables that the Trainer sets in a pod."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    agents = []
    for node in range(2):
        variables = {"PET_NNODES": "2", "PET_NPROC_PER_NODE": "1", "PET_NODE_RANK": str(node)}
        variables |= {"PET_MASTER_ADDR": "127.0.0.1", "PET_MASTER_PORT": port}
        argv = [sys.executable, "-m", "nava.launch.agent", "--log-dir", str(tmp_path / f"node{node}")]
        argv += ["--workdir", str(tmp_path), "--", sys.executable, str(RANKS), what, "1"]
        agents.append(
            subprocess.Popen(argv, env={**os.environ, **variables}, stdout=-1, stderr=-1, text=True, cwd=ROOT)
        )
    said = [agent.communicate(timeout=PATIENCE_S) for agent in agents]
    assert "[rank 0] sum 3 of 2 ranks" in said[0][0]
    assert said[1][1].splitlines()[-1] == f"nava: rank 1 ended with exit code {code}: {words}"
    assert agents[1].returncode == code
    assert agents[0].returncode not in (0, code)


def test_nodes_that_never_meet_are_an_error_with_one_line(tmp_path: Path) -> None:
    argv = ("python", str(RANKS), "meet")
    command = TrainingCommand("train_stage1", "key", argv, tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = LaunchConfig(nodes=2, rendezvous=f"127.0.0.1:{port}", rendezvous_timeout_s=1)
    with pytest.raises(LaunchFailedError, match="train_stage1: the agent ended with exit code 1: Rendezvous") as caught:
        make_launcher(config).run(command)
    assert "\n" not in str(caught.value)
