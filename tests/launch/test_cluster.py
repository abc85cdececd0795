"""Submitting, finding again, watching, cancelling: against the contract stub, over a real socket."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nava.config.launch import KubernetesConfig, LaunchConfig
from nava.launch.cluster import ClusterLauncher
from nava.launch.command import LaunchFailedError, LaunchStoppedError, TrainingCommand, job_name
from nava.launch.pod_logs import FINDER
from nava.runtime.errors import InputError
from tests.launch.api_server_stub import ApiServerStub, stub_client

COMMAND = TrainingCommand("train_stage1", "ab12", ("python", "-m", "nava.cli"), Path("/workspace"), grace_period_s=1.0)
NAME = job_name(COMMAND)
PATIENCE_S = 30.0


@pytest.fixture
def stub() -> Iterator[ApiServerStub]:
    with ApiServerStub() as server:
        yield server
        for finder in [other for other in threading.enumerate() if other.name == FINDER]:
            finder.join(PATIENCE_S)
            assert not finder.is_alive(), "a launch that has ended goes on asking for pods"


class Launch(threading.Thread):
    """A launch in a thread, with what it printed and how it ended."""

    def __init__(self, stub: ApiServerStub, command: TrainingCommand = COMMAND, **values) -> None:
        super().__init__(daemon=True)
        self.lines: list[str] = []
        self.ended: Exception | None = None
        self._command = command
        self._launcher = ClusterLauncher(config(**values), stub_client(stub), self.lines.append)
        self.start()

    def run(self) -> None:
        try:
            self._launcher.run(self._command)
        except Exception as error:
            self.ended = error

    def result(self) -> Exception | None:
        self.join(PATIENCE_S)
        assert not self.is_alive(), f"never ended: {self.lines}"
        return self.ended


def config(**values) -> LaunchConfig:
    values = {"poll_every_s": 0.05, "api_timeout_s": 10.0} | values
    return LaunchConfig("kubernetes", nodes=2, processes_per_node=8, kubernetes=KubernetesConfig(**values))


def wait_for(condition, what: str) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.01)


def submitted(stub: ApiServerStub) -> None:
    wait_for(lambda: NAME in stub.jobs, "the job was submitted")


def test_a_job_is_submitted_watched_and_its_lines_come_here(stub: ApiServerStub) -> None:
    launch = Launch(stub)
    submitted(stub)
    stub.condition(NAME, "Suspended", "Suspended", "waiting for 16 GPUs")
    wait_for(lambda: any("waiting for queue" in line for line in launch.lines), "it waits")
    stub.condition(NAME, "Suspended", "Resumed", status="False")
    pod, other = stub.add_pod(NAME, 0), stub.add_pod(NAME, 1)
    stub.active(NAME)
    stub.say(pod, "[rank 0] step 1", "[rank 0] step 2")
    stub.say(other, "[rank 8] step 1")
    wait_for(lambda: "[node 0] [rank 0] step 2" in launch.lines, "lines came")
    stub.say(pod, "[rank 0] café saved")
    stub.end_pod(pod, 0)
    stub.condition(NAME, "Complete", "JobsCompleted")
    assert launch.result() is None
    said = [line for line in launch.lines if line.startswith("TrainJob")]
    assert said[0] == f"TrainJob {NAME}: submitted to namespace nava"
    assert f"TrainJob {NAME}: waiting for queue training (Suspended: waiting for 16 GPUs)" in said
    assert f"TrainJob {NAME}: running on 2 x 8" in said
    assert said[-1] == f"TrainJob {NAME}: complete"
    assert [line for line in launch.lines if line.startswith("[node 0]")] == [
        "[node 0] [rank 0] step 1",
        "[node 0] [rank 0] step 2",
        "[node 0] [rank 0] café saved",
    ]
    assert not any(line.startswith("[node 1]") for line in launch.lines)


def test_the_lines_of_all_nodes_when_asked_for(stub: ApiServerStub) -> None:
    launch = Launch(stub, log_all_nodes=True)
    submitted(stub)
    for node in range(2):
        stub.say(stub.add_pod(NAME, node), f"I am {node}")
    wait_for(lambda: {"[node 0] I am 0", "[node 1] I am 1"} <= set(launch.lines), "both spoke")
    stub.finish_deletion(NAME)
    assert "was deleted by somebody else" in str(launch.result())


def test_whoever_comes_again_finds_the_job_and_submits_no_second_one(stub: ApiServerStub) -> None:
    first = Launch(stub)
    submitted(stub)
    pod = stub.add_pod(NAME, 0)
    stub.say(pod, *(f"step {step}" for step in range(150)))
    second = Launch(stub)
    wait_for(lambda: "[node 0] step 149" in second.lines, "the second follows")
    # A long log does not come twice: the second begins with its last hundred lines.
    assert sum(line.startswith("[node 0]") for line in second.lines) == 100
    stub.end_pod(pod, 0)
    stub.condition(NAME, "Complete")
    assert first.result() is None
    assert second.result() is None
    assert f"TrainJob {NAME}: found; following it instead of submitting a second one" in second.lines
    assert len([event for event in stub.events if event[1] == "ADDED"]) == 1


def test_a_job_that_is_complete_already_is_done(stub: ApiServerStub) -> None:
    Launch(stub)
    submitted(stub)
    stub.condition(NAME, "Complete")
    assert Launch(stub).result() is None
    assert len(stub.jobs) == 1


def test_a_complete_job_whose_result_is_gone_is_run_again_once(stub: ApiServerStub, tmp_path: Path) -> None:
    command = replace(COMMAND, result=tmp_path / "result")
    first = Launch(stub, command)
    submitted(stub)
    stub.condition(NAME, "Complete")
    assert first.result() is None
    second = Launch(stub, command)
    wait_for(lambda: stub.jobs.get(NAME, {}).get("metadata", {}).get("uid") not in (None, "uid-1"), "a new one")
    # It leaves no result either, and is not started a third time.
    stub.condition(NAME, "Complete")
    assert second.result() is None
    assert len([event for event in stub.events if event[1] == "ADDED"]) == 2
    assert f"TrainJob {NAME}: complete, but {tmp_path}/result is not there any more; running it again" in second.lines


def test_a_complete_job_whose_result_is_there_is_not_run_again(stub: ApiServerStub, tmp_path: Path) -> None:
    command = replace(COMMAND, result=tmp_path)
    Launch(stub, command)
    submitted(stub)
    stub.condition(NAME, "Complete")
    assert Launch(stub, command).result() is None
    assert len([event for event in stub.events if event[1] == "ADDED"]) == 1


def test_a_job_that_failed_before_makes_room_for_a_new_one(stub: ApiServerStub) -> None:
    first = Launch(stub)
    submitted(stub)
    stub.condition(NAME, "Failed", "FailedJobs", "too many restarts")
    assert isinstance(first.result(), LaunchFailedError)
    second = Launch(stub)
    wait_for(lambda: stub.jobs.get(NAME, {}).get("metadata", {}).get("uid") not in (None, "uid-1"), "a new one")
    stub.condition(NAME, "Complete")
    assert second.result() is None
    assert f"TrainJob {NAME}: an earlier try failed; starting again from its newest checkpoint" in second.lines


def test_a_job_that_is_being_deleted_is_waited_for(stub: ApiServerStub) -> None:
    Launch(stub)
    submitted(stub)
    stub.slow_deletion = True
    stub_client(stub).delete(NAME)
    launch = Launch(stub)
    wait_for(lambda: any("is being deleted" in line for line in launch.lines), "it waits")
    stub.finish_deletion(NAME)
    submitted(stub)
    stub.condition(NAME, "Complete")
    assert launch.result() is None


def test_a_job_of_something_else_under_the_name_is_refused(stub: ApiServerStub) -> None:
    stub.store("ADDED", {"metadata": {"name": NAME, "annotations": {}}, "spec": {}})
    with pytest.raises(InputError, match="belongs to something else"):
        raise Launch(stub).result() or AssertionError


def test_a_failed_job_is_told_by_the_pod_that_ended_first(stub: ApiServerStub) -> None:
    launch = Launch(stub)
    submitted(stub)
    now = datetime.now(UTC)
    stub.end_pod(stub.add_pod(NAME, 0), 1, "RuntimeError: connection closed by peer", now)
    stub.end_pod(stub.add_pod(NAME, 2), 143, "", now - timedelta(seconds=20))
    words = "[rank 9] Traceback\nnava: rank 9 ended with exit code 2: no shards in /workspace/shards\n"
    stub.end_pod(stub.add_pod(NAME, 1), 2, words, now - timedelta(seconds=10))
    stub.condition(NAME, "Failed", "FailedJobs", "jobset failed")
    error = launch.result()
    assert str(error) == (
        f"train_stage1: TrainJob {NAME} failed: node 1 (pod {NAME}-node-0-1-aaaaa) ended with exit code 2: "
        "rank 9 ended with exit code 2: no shards in /workspace/shards"
    )
    assert isinstance(error, LaunchFailedError)
    assert error.exit_code == 2


def test_a_training_that_diverged_keeps_its_exit_code(stub: ApiServerStub) -> None:
    launch = Launch(stub)
    submitted(stub)
    stub.end_pod(stub.add_pod(NAME, 0), 4, "nava: rank 0 ended with exit code 4: the loss is nan\n")
    stub.condition(NAME, "Failed", "FailedJobs", "jobset failed")
    error = launch.result()
    assert isinstance(error, LaunchFailedError)
    assert error.exit_code == 4


def test_a_job_whose_pods_were_all_told_to_stop_was_interrupted_and_did_not_fail(stub: ApiServerStub) -> None:
    launch = Launch(stub)
    submitted(stub)
    for node in range(2):
        stub.end_pod(stub.add_pod(NAME, node), 143, "nava: rank 0 ended with exit code 143: 7 of 9 steps are saved\n")
    stub.condition(NAME, "Failed", "DeadlineExceeded", "active for longer than its deadline")
    error = launch.result()
    assert isinstance(error, LaunchStoppedError)
    assert error.state == "interrupted"
    assert "was stopped (DeadlineExceeded: active for longer than its deadline)" in str(error)
    assert "7 of 9 steps are saved" in str(error)


def test_a_failed_job_without_pods_is_told_by_its_condition(stub: ApiServerStub) -> None:
    launch = Launch(stub)
    submitted(stub)
    stub.condition(NAME, "Failed", "DeadlineExceeded", "active for longer\nthan its deadline")
    error = launch.result()
    assert str(error) == (
        f"train_stage1: TrainJob {NAME} failed: DeadlineExceeded: active for longer than its deadline"
    )
    assert isinstance(error, LaunchFailedError)
    assert error.exit_code == 1


def test_suspended_without_a_queue_is_an_error_that_says_what_to_do(stub: ApiServerStub) -> None:
    launch = Launch(stub, queue="")
    submitted(stub)
    stub.condition(NAME, "Suspended", "Suspended", "TrainJob is suspended")
    error = launch.result()
    assert isinstance(error, LaunchFailedError)
    assert "no queue will resume it" in str(error)
    assert "spec.suspend to false" in str(error)
    assert NAME in stub.jobs


def test_a_queue_is_waited_for_no_longer_than_set(stub: ApiServerStub) -> None:
    launch = Launch(stub, queue_timeout_s=0.3)
    submitted(stub)
    stub.condition(NAME, "Suspended", "Suspended")
    error = launch.result()
    assert isinstance(error, LaunchFailedError)
    assert "still waits for queue training" in str(error)
    assert NAME in stub.jobs


def test_a_preempted_job_goes_back_to_waiting_and_its_new_pods_are_followed(stub: ApiServerStub) -> None:
    launch = Launch(stub)
    submitted(stub)
    pod = stub.add_pod(NAME, 0)
    stub.active(NAME)
    stub.say(pod, "before")
    wait_for(lambda: "[node 0] before" in launch.lines, "the first pod spoke")
    stub.condition(NAME, "Suspended", "Suspended", "preempted")
    stub.end_pod(pod, 143)
    wait_for(lambda: any("preempted" in line for line in launch.lines), "it waits")
    stub.condition(NAME, "Suspended", "Resumed", status="False")
    again = stub.add_pod(NAME, 0, "bbbbb")
    stub.say(again, "after")
    wait_for(lambda: "[node 0] after" in launch.lines, "the second pod spoke")
    stub.end_pod(again, 0)
    stub.condition(NAME, "Complete")
    assert launch.result() is None


@pytest.mark.parametrize("call", ["create", "get", "watch", "pods"])
@pytest.mark.parametrize("status", [0, 429, 500, 503])
def test_an_api_server_that_falters_is_asked_again(stub: ApiServerStub, call: str, status: int) -> None:
    stub.faults[call] = [status, status]
    launch = Launch(stub)
    submitted(stub)
    wait_for(lambda: stub.calls[call] > 2, f"{call} was asked again")
    stub.condition(NAME, "Complete")
    assert launch.result() is None
    assert len([event for event in stub.events if event[1] == "ADDED"]) == 1


def test_a_watch_that_expired_or_broke_off_misses_nothing(stub: ApiServerStub) -> None:
    launch = Launch(stub)
    submitted(stub)
    wait_for(lambda: stub.calls["watch"] >= 1, "it watches")
    with stub.changed:
        stub.faults["open-watch"] = [0]
        stub.expired_below = 10_000
    wait_for(lambda: stub.calls["watch"] >= 3, "it watches again")
    with stub.changed:
        stub.expired_below = 0
    stub.condition(NAME, "Complete")
    assert launch.result() is None


def test_a_watch_refused_as_too_old_begins_anew(stub: ApiServerStub) -> None:
    stub.faults["watch"] = [410]
    launch = Launch(stub)
    wait_for(lambda: stub.calls["watch"] >= 2, "it watches again")
    stub.condition(NAME, "Complete")
    assert launch.result() is None


def test_a_log_that_breaks_off_goes_on_without_losing_or_repeating_a_line(stub: ApiServerStub) -> None:
    launch = Launch(stub)
    submitted(stub)
    pod = stub.add_pod(NAME, 0)
    stub.say(pod, "one", "two")
    stub.say(pod, "two", "three", same_time=True)
    wait_for(lambda: "[node 0] three" in launch.lines, "lines came")
    with stub.changed:
        stub.faults["open-log"] = [0]
        stub.faults["log"] = [503]
    wait_for(lambda: not stub.faults["open-log"] and not stub.faults["log"], "it broke off")
    stub.say(pod, "three", same_time=True)
    stub.say(pod, "four")
    wait_for(lambda: "[node 0] four" in launch.lines, "it goes on")
    stub.end_pod(pod, 0)
    stub.condition(NAME, "Complete")
    assert launch.result() is None
    said = [line.removeprefix("[node 0] ") for line in launch.lines if line.startswith("[node 0]")]
    assert said == ["one", "two", "two", "three", "three", "four"]


def test_an_api_server_out_of_reach_is_given_up_and_the_job_left(stub: ApiServerStub) -> None:
    launch = Launch(stub, api_timeout_s=0.5)
    submitted(stub)
    wait_for(lambda: stub.calls["watch"] >= 1, "it watches")
    with stub.changed:
        stub.faults |= {"open-watch": [0], "get": [503] * 50, "watch": [503] * 50}
    error = launch.result()
    assert isinstance(error, LaunchFailedError)
    assert "out of reach for 0 s" in str(error)
    assert "the same command finds it again" in str(error)
    assert NAME in stub.jobs
    assert stub.calls["delete"] == 0


@pytest.mark.parametrize(
    ("status", "message"), [(403, "the cluster refuses: answered 403"), (422, "the cluster refuses: answered 422")]
)
def test_what_the_cluster_refuses_is_the_users_to_mend(stub: ApiServerStub, status: int, message: str) -> None:
    stub.faults["create"] = [status]
    with pytest.raises(InputError, match=message):
        raise Launch(stub).result() or AssertionError


def test_a_cluster_without_the_trainer_is_told(stub: ApiServerStub) -> None:
    stub.faults["create"] = [404]
    with pytest.raises(InputError, match="is Kubeflow's Trainer installed there"):
        raise Launch(stub).result() or AssertionError


@pytest.fixture(autouse=True)
def ctrl_c_is_heard() -> Iterator[None]:
    """A shell's background jobs ignore it, and so would what runs the tests there."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def stop_when(condition, number: signal.Signals) -> None:
    """Send this process a signal once something holds."""

    def wait() -> None:
        wait_for(condition, "the moment to stop")
        os.kill(os.getpid(), number)

    threading.Thread(target=wait, daemon=True).start()


@pytest.mark.parametrize(
    ("number", "error"), [(signal.SIGTERM, LaunchStoppedError), (signal.SIGINT, KeyboardInterrupt)]
)
def test_a_cancelled_launch_deletes_its_job_and_waits_for_it(
    stub: ApiServerStub, number: signal.Signals, error: type[BaseException]
) -> None:
    stub.slow_deletion = True
    lines: list[str] = []
    stop_when(lambda: stub.calls["watch"] >= 1, number)

    def delete_later() -> None:
        wait_for(lambda: stub.calls["delete"] >= 1 and stub.calls["get"] >= 3, "it waits for the deletion")
        stub.finish_deletion(NAME)

    threading.Thread(target=delete_later, daemon=True).start()
    with pytest.raises(error):
        ClusterLauncher(config(), stub_client(stub), lines.append).run(COMMAND)
    assert NAME not in stub.jobs
    assert stub.calls["delete"] == 1
    assert f"TrainJob {NAME}: told to stop; deleting it" in lines


def test_a_job_may_be_left_running_when_its_watcher_is_told_to_stop(stub: ApiServerStub) -> None:
    stop_when(lambda: stub.calls["watch"] >= 1, signal.SIGTERM)
    with pytest.raises(LaunchStoppedError, match="was left running"):
        ClusterLauncher(config(delete_when_stopped=False), stub_client(stub), [].append).run(COMMAND)
    assert NAME in stub.jobs
    assert stub.calls["delete"] == 0
