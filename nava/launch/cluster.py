"""Launches on Kubernetes: submits a TrainJob, or finds the one it submitted before, and watches it to its end."""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from nava.config.launch import LaunchConfig
from nava.launch.cluster_client import ClusterClient, PassingError, WatchExpiredError
from nava.launch.command import LaunchFailedError, LaunchStoppedError, TrainingCommand, job_name
from nava.launch.job_state import COMPLETE, FAILED, RUNNING, SUSPENDED, JobState, failure, job_state
from nava.launch.pod_logs import PodLogs
from nava.launch.schema import check_train_job
from nava.launch.train_job import KEY_ANNOTATION, pod_grace_period_s, train_job
from nava.runtime.errors import InputError, NavaError
from nava.runtime.stop_request import StopRequest, stop_on_sigterm

T = TypeVar("T")
_LOOK_S = 0.2
_RETRY_S = 1.0
_LOG_PATIENCE_S = 10.0
_DELETE_MARGIN_S = 60.0


class ClusterLauncher:
    """Ranks in the pods of a TrainJob.

    The job's name follows from the command's name and key: whoever runs the same command again finds the job that
    runs, or starts one in the place of one that failed.
    """

    def __init__(self, config: LaunchConfig, client: ClusterClient, show: Callable[[str], None] = print) -> None:
        self._config, self._cluster = config, config.kubernetes
        self._client, self._show = client, show

    def run(self, command: TrainingCommand) -> None:
        """See `Launcher.run`. Told to stop, it deletes the job, unless `delete_when_stopped` is off.

        Killed, or out of reach of the API server for `api_timeout_s`, it leaves the job as it is.
        """
        manifest = train_job(command, self._config)
        check_train_job(manifest)
        name = job_name(command)
        with stop_on_sigterm() as stop:
            try:
                self._run(command, manifest, name, stop)
            except KeyboardInterrupt:
                self._cancel(command, name)
                raise
            if stop.requested:
                self._cancel(command, name)
                left = "deleted" if self._cluster.delete_when_stopped else "left running"
                raise LaunchStoppedError(f"{command.name} was told to stop: TrainJob {name} was {left}")

    def _run(self, command: TrainingCommand, manifest: dict[str, Any], name: str, stop: StopRequest) -> None:
        found = self._submit_or_find(command, manifest, name)
        logs = PodLogs(
            self._client,
            name,
            self._show,
            all_nodes=self._cluster.log_all_nodes,
            again=found,
            poll_every_s=self._cluster.poll_every_s,
        )
        state = None
        logs.start()
        try:
            state = self._watch(command, name, stop)
        finally:
            logs.finish(0.0 if state is None else _LOG_PATIENCE_S)
        if state is None:
            return
        if state.phase == FAILED:
            raise failure(command.name, name, state, self._patiently(lambda: self._client.pods(name)))
        self._say(name, "complete")

    def _submit_or_find(self, command: TrainingCommand, manifest: dict[str, Any], name: str) -> bool:
        """Whether the job was there already."""
        while True:
            if self._patiently(lambda: self._client.create(manifest)):
                self._say(name, f"submitted to namespace {self._client.namespace}")
                return False
            job = self._patiently(lambda: self._client.get(name))
            if job is None:
                continue
            metadata = job["metadata"]
            if (metadata.get("annotations") or {}).get(KEY_ANNOTATION) != command.key:
                raise InputError(f"TrainJob {name} belongs to something else; delete it, or use another namespace")
            if metadata.get("deletionTimestamp"):
                self._say(name, "is being deleted; waiting for that")
                self._wait_until_gone(command, name)
            elif job_state(job).phase == FAILED:
                self._say(name, "an earlier try failed; starting again from its newest checkpoint")
                self._take_away(command, name)
            elif job_state(job).phase == COMPLETE and command.result is not None and not command.result.exists():
                # Only of a job found: what is submitted now is not looked at again here, so it is once at most.
                self._say(name, f"complete, but {command.result} is not there any more; running it again")
                self._take_away(command, name)
            else:
                self._say(name, "found; following it instead of submitting a second one")
                return True

    def _watch(self, command: TrainingCommand, name: str, stop: StopRequest) -> JobState | None:
        """The state it ended in; None when told to stop.

        Raises:
            NavaError: it is gone, out of reach, or waited too long.
        """
        watch = _Watch(self._client, name, self._cluster.api_timeout_s)
        watch.start()
        try:
            return self._watched(command, name, stop, watch)
        finally:
            watch.close()

    def _watched(self, command: TrainingCommand, name: str, stop: StopRequest, watch: "_Watch") -> JobState | None:
        shown: JobState | None = None
        suspended_at = time.monotonic()
        while not stop.requested:
            news = watch.news(_LOOK_S)
            if isinstance(news, BaseException):
                raise news
            if news is not None:
                state = job_state(news)
                if state.ended:
                    return state
                if state.phase == SUSPENDED and (shown is None or shown.phase != SUSPENDED):
                    suspended_at = time.monotonic()
                if shown is None or state.phase != shown.phase:
                    self._say(name, self._told(state))
                shown = state
            if shown is not None and shown.phase == SUSPENDED:
                self._check_suspension(command, name, shown, time.monotonic() - suspended_at)
        return None

    def _check_suspension(self, command: TrainingCommand, name: str, state: JobState, seconds: float) -> None:
        """A queue suspends a job until its turn. Without a queue nobody will resume it."""
        if not self._cluster.queue:
            raise LaunchFailedError(
                f"{command.name}: TrainJob {name} is suspended and no queue will resume it ({state.reason or 'held'}); "
                f"set its spec.suspend to false and run the same command again"
            )
        limit_s = self._cluster.queue_timeout_s
        if limit_s and seconds > limit_s:
            raise LaunchFailedError(
                f"{command.name}: TrainJob {name} still waits for queue {self._cluster.queue} after {limit_s:.0f} s "
                f"({state.reason or 'suspended'}); it goes on waiting, and the same command finds it again"
            )

    def _told(self, state: JobState) -> str:
        if state.phase == SUSPENDED:
            why = f" ({state.reason})" if state.reason else ""
            return f"waiting for queue {self._cluster.queue or '–'}{why}"
        if state.phase == RUNNING:
            return f"running on {self._config.nodes} x {self._config.processes_per_node}"
        return "waiting for its pods"

    def _cancel(self, command: TrainingCommand, name: str) -> None:
        """Delete the job and wait until its pods have saved and ended."""
        if not self._cluster.delete_when_stopped:
            return
        self._say(name, "told to stop; deleting it")
        self._take_away(command, name)

    def _take_away(self, command: TrainingCommand, name: str) -> None:
        """Take a job away, and wait until another can have its name."""
        self._patiently(lambda: self._client.delete(name))
        self._wait_until_gone(command, name)

    def _wait_until_gone(self, command: TrainingCommand, name: str) -> None:
        end = time.monotonic() + pod_grace_period_s(command) + _DELETE_MARGIN_S
        while self._patiently(lambda: self._client.get(name)) is not None:
            if time.monotonic() > end:
                raise LaunchFailedError(f"{command.name}: TrainJob {name} is still being deleted; look at its pods")
            time.sleep(min(_RETRY_S, self._cluster.poll_every_s))

    def _patiently(self, call: Callable[[], T]) -> T:
        """The result of a call, tried again while the API server does not answer, for `api_timeout_s` at most."""
        end = time.monotonic() + self._cluster.api_timeout_s
        while True:
            try:
                return call()
            except PassingError as error:
                if time.monotonic() > end:
                    raise _out_of_reach(error, self._cluster.api_timeout_s) from error
                time.sleep(min(_RETRY_S, self._cluster.poll_every_s))

    def _say(self, name: str, text: str) -> None:
        self._show(f"TrainJob {name}: {text}")


class _Watch(threading.Thread):
    """Reads a job and then its changes, in a thread so that whoever waits for news can be told to stop meanwhile."""

    def __init__(self, client: ClusterClient, name: str, api_timeout_s: float) -> None:
        super().__init__(name=f"watch-{name}", daemon=True)
        self._client, self._job, self._api_timeout_s = client, name, api_timeout_s
        self._news: queue.Queue[dict[str, Any] | BaseException] = queue.Queue()
        self._closed = threading.Event()

    def close(self) -> None:
        """Nobody waits for news any more: end with the connection that is open."""
        self._closed.set()

    def news(self, seconds: float) -> dict[str, Any] | BaseException | None:
        """The job as it changed, or why there will be no more; None when nothing came in so many seconds."""
        try:
            return self._news.get(timeout=seconds)
        except queue.Empty:
            return None

    def run(self) -> None:
        """Every connection begins with the job as it stands: whatever was missed meanwhile does not matter."""
        answered_at = time.monotonic()
        while not self._closed.is_set():
            try:
                job = self._client.get(self._job)
                answered_at = time.monotonic()
                if self._reported(job):
                    return
                assert job is not None
                for change in self._client.changes(self._job, job["metadata"]["resourceVersion"]):
                    answered_at = time.monotonic()
                    if self._reported(change):
                        return
            except WatchExpiredError:
                continue
            except PassingError as error:
                if time.monotonic() - answered_at > self._api_timeout_s:
                    self._news.put(_out_of_reach(error, self._api_timeout_s))
                    return
                self._closed.wait(_RETRY_S)
            except Exception as error:
                self._news.put(error)
                return

    def _reported(self, job: dict[str, Any] | None) -> bool:
        """Pass a state on; whether it is the last."""
        if job is None:
            self._news.put(LaunchFailedError(f"TrainJob {self._job} was deleted by somebody else"))
            return True
        self._news.put(job)
        return self._closed.is_set() or job_state(job).ended


def _out_of_reach(error: PassingError, seconds: float) -> NavaError:
    return LaunchFailedError(
        f"the API server was out of reach for {seconds:.0f} s ({error}); "
        "a job that was submitted goes on, and the same command finds it again"
    )
