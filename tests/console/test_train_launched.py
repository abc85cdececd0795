"""`nava train run` on several processes, machines and a cluster: the same results, and failures that are told."""

import json
import shutil
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from nava.config.composition import compose
from nava.data.loader.ranks import require_one_task_at_a_time
from nava.launch.command import LaunchStoppedError
from nava.runtime.storage import read_json
from nava.training.job_file import TrainingJob
from nava.training.run_folder import STOPPED, write_state
from tests.console.train_runs import REPOSITORY, arguments, nava, one_line, process, rows, train, until
from tests.evaluation.tiny_corpus import write_tiny_corpus
from tests.launch.api_server_stub import ApiServerStub, stub_client

# What two processes need to share a step.
SHARED = ("training.micro_batches_per_step=2", "loader.run_length=2")


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_corpus(tmp_path_factory.mktemp("corpus"), audio_only=6).shards


def test_two_processes_through_the_launcher(shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    more = ("training.engine=deepspeed", *SHARED)
    for processes, name in (("2", "two"), ("1", "one")):
        done = train(shards, tmp_path / name, "--max-steps", "3", "--nproc", processes, *more)
        assert done.exit_code == 0, done.output
    two, one = rows(tmp_path / "two"), rows(tmp_path / "one")
    assert [row["batches"] for row in two] == [row["batches"] for row in one]
    assert [row["loss"] for row in two] == pytest.approx([row["loss"] for row in one], rel=1e-5)


def test_told_to_stop_the_last_line_is_that_of_the_process_that_saved(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(job: TrainingJob, *_: object) -> None:
        write_state(Path(job.workdir), STOPPED, error="20 of 60 steps are saved", exit_code=143)
        raise LaunchStoppedError("told to stop: so were its ranks")

    monkeypatch.setattr("nava.training.job_launch.launch_job", stopped)
    told = train(shards, tmp_path / "run", "--nproc", "2", *SHARED)
    assert told.exit_code == 143
    assert one_line(told.stderr) == "nava: 20 of 60 steps are saved"
    status = json.loads(nava("train", "status", str(tmp_path / "run"), "--json").output)
    assert (status["state"], status["error"]) == ("stopped", "20 of 60 steps are saved")


def two_machines(shards: Path, out: Path, *more: str) -> list[tuple[int, str]]:
    """The same command twice, as on two machines that share a folder: how each ended, and what it said on stderr."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        meet = f"launch.rendezvous=127.0.0.1:{probe.getsockname()[1]}"
    given = arguments(shards, out, "--max-steps", "3", "launch.nodes=2", meet, "training.engine=deepspeed", *more)
    machines = [process(given) for _ in range(2)]
    said = [machine.communicate(timeout=300)[1] for machine in machines]
    return [(machine.returncode, errors) for machine, errors in zip(machines, said, strict=True)]


def test_two_machines_with_one_rendezvous_share_a_folder(shards: Path, tmp_path: Path) -> None:
    ends = two_machines(shards, tmp_path / "two", *SHARED)
    assert [code for code, _ in ends] == [0, 0], ends
    for node in ("node0", "node1"):
        assert list((tmp_path / "two" / "rank-logs" / node).glob("*/attempt_0/0/stdout.log"))
    assert json.loads(nava("train", "status", str(tmp_path / "two"), "--json").output)["processes"] == 2
    assert train(shards, tmp_path / "one", "--max-steps", "3", "training.engine=deepspeed", *SHARED).exit_code == 0
    two, one = rows(tmp_path / "two"), rows(tmp_path / "one")
    assert [row["batches"] for row in two] == [row["batches"] for row in one]
    assert [row["loss"] for row in two] == pytest.approx([row["loss"] for row in one], rel=1e-5)


def test_the_failures_of_two_machines_do_not_hide_each_other(shards: Path, tmp_path: Path) -> None:
    ends = two_machines(shards, tmp_path / "run", *SHARED, "training.engine=plain")
    # The rank that is slower may have lost the other before it comes to that.
    refused = [errors for code, errors in ends if code == 2]
    assert refused, ends
    assert all("training.engine=plain runs in one process" in errors.strip().splitlines()[-1] for errors in refused)
    assert 0 not in [code for code, _ in ends]
    reports = [read_json(tmp_path / "run" / "rank-logs" / f"failure-node{node}.json") for node in (0, 1)]
    assert all(report["exit_code"] for report in reports)


def test_no_more_machines_share_a_folder_than_the_run_has(shards: Path, tmp_path: Path) -> None:
    import fcntl

    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / ".lock").open("w") as first, (tmp_path / "run" / ".lock-1").open("w") as second:
        fcntl.flock(first, fcntl.LOCK_EX)
        fcntl.flock(second, fcntl.LOCK_EX)
        refused = train(shards, tmp_path / "run", *SHARED, "launch.nodes=2", "launch.rendezvous=127.0.0.1:1")
    assert refused.exit_code == 2
    assert "all 2 machines of a run work in" in one_line(refused.stderr)


def test_a_complete_job_on_a_cluster_without_its_result_is_not_taken_for_done(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against the contract stub of the API server: the folder of the run was removed after the job was complete."""
    made = tmp_path / "made"
    assert train(shards, made, "--max-steps", "2").exit_code == 0
    with ApiServerStub() as stub:
        monkeypatch.setattr("nava.launch.cluster_client.connect", lambda _config: stub_client(stub))
        given = (shards, tmp_path / "run", "launch.target=kubernetes", "launch.kubernetes.poll_every_s=0.05")

        def complete(submissions: int, make: Callable[[], object]) -> None:
            """Once so many jobs were submitted, the newest leaves what it makes and is complete."""
            until(lambda: len([event for event in stub.events if event[1] == "ADDED"]) == submissions)
            make()
            stub.condition(next(iter(stub.jobs)), "Complete")

        def controller(submissions: int, make: Callable[[], object]) -> threading.Thread:
            thread = threading.Thread(target=complete, args=(submissions, make), daemon=True)
            thread.start()
            return thread

        controller(1, lambda: None)
        left_nothing = train(*given)
        assert left_nothing.exit_code == 2
        assert f"is complete, but {tmp_path}/run/result is not there" in one_line(left_nothing.stderr)
        controller(2, lambda: shutil.copytree(made, tmp_path / "run", dirs_exist_ok=True))
        again = train(*given)
        assert again.exit_code == 0, again.output
        assert "is not there any more; running it again" in again.output
        assert "validation loss" in again.output
        # Its result is there now: nothing is submitted again.
        assert train(*given).exit_code == 0
        assert len([event for event in stub.events if event[1] == "ADDED"]) == 2


def test_what_a_rank_refuses_is_told_with_its_exit_code(
    shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    refused = train(shards, tmp_path / "run", *SHARED, "--nproc", "2", "--max-steps", "3", "training.engine=plain")
    assert refused.exit_code == 2
    assert "training.engine=plain runs in one process" in one_line(refused.stderr)
    assert json.loads(nava("train", "status", str(tmp_path / "run"), "--json").output)["state"] == "failed"


@pytest.mark.parametrize("guide", ["docs/training.md", "README.md"])
def test_commands_in_the_guides_can_be_shared_by_their_processes(guide: str) -> None:
    lines = [
        line for line in (REPOSITORY / guide).read_text().splitlines() if "train run" in line and "--nproc" in line
    ]
    assert lines
    for line in lines:
        words = line.partition("#")[0].split()
        processes, recipe = int(words[words.index("--nproc") + 1]), words[words.index("--recipe") + 1]
        config = compose(recipe, [word for word in words if "=" in word]).config
        per_step = config["training"]["micro_batches_per_step"]
        require_one_task_at_a_time(per_step, processes, config["loader"]["run_length"])
