"""Launches on this machine: one torchrun agent per node, each with its ranks."""

import math
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from nava.config.launch import LaunchConfig
from nava.launch.command import (
    PYTHON,
    LaunchFailedError,
    LaunchStoppedError,
    TrainingCommand,
    job_name,
)
from nava.launch.failure import RankFailure, earliest
from nava.runtime.errors import EXIT_FAILED, EXIT_STOPPED
from nava.runtime.stop_request import StopRequest, stop_on_sigterm
from nava.runtime.storage import read_json

LOG_FOLDER = "rank-logs"
_POLL_S = 0.1
# After one agent failed the others' ranks fail by themselves, once their collectives notice; torchrun waits 30 s.
_PEERS_END_S = 35.0
# What an agent needs besides the grace period of its ranks.
_AGENT_MARGIN_S = 10.0


class ProcessLauncher:
    """Ranks as processes of this machine. With `launch.rendezvous` it is one node of several, else all of them."""

    def __init__(self, config: LaunchConfig, machine: int = 0) -> None:
        self._config, self._machine = config, machine

    def run(self, command: TrainingCommand) -> None:
        """See `Launcher.run`. The ranks' output also goes to files under `rank-logs` in the working folder."""
        command.check()
        agents = _Agents(self._config, command, self._machine)
        with stop_on_sigterm() as stop:
            try:
                agents.start()
                _wait(agents, stop)
            except KeyboardInterrupt:
                # The ranks are in sessions of their own: they only hear what is said to them here.
                agents.stop(command.grace_period_s)
                raise
            finally:
                agents.kill()


def _wait(agents: "_Agents", stop: StopRequest) -> None:
    """Until all agents have ended, or one failed, or this process is told to stop."""
    failed_at: float | None = None
    while agents.running():
        if stop.requested:
            seconds = agents.stop(agents.command.grace_period_s)
            late = seconds >= agents.command.grace_period_s
            left = "and were killed when the grace period was over" if late else f"and ended within {seconds:.0f} s"
            raise LaunchStoppedError(f"{agents.command.name} was told to stop: so were its ranks, {left}")
        if failed_at is None and agents.failed():
            failed_at = time.monotonic()
        if failed_at is not None and time.monotonic() - failed_at > _PEERS_END_S:
            agents.stop(agents.command.grace_period_s)
        time.sleep(_POLL_S)
    if agents.failed():
        failure = agents.first_failure()
        if failure.shell_exit_code == EXIT_STOPPED:
            raise LaunchStoppedError(f"{agents.command.name}: {failure.sentence}")
        raise LaunchFailedError(f"{agents.command.name}: {failure.sentence}", failure.exit_code)


class _Agents:
    """The agents of the nodes on this machine."""

    def __init__(self, config: LaunchConfig, command: TrainingCommand, machine: int) -> None:
        self._config, self._machine = config, machine
        self.command = command
        self._processes: list[subprocess.Popen[bytes]] = []
        # When an agent was found to have ended, by node, seconds since the epoch.
        self._ended_at_s: dict[int, float] = {}
        self._nodes = 1 if config.rendezvous else config.nodes
        self._folder = command.workdir / LOG_FOLDER

    def start(self) -> None:
        """Start them. The port is free when it is chosen; whoever takes it before the agents do makes them fail."""
        rendezvous = self._config.rendezvous
        if not rendezvous and self._nodes > 1:
            rendezvous = f"127.0.0.1:{_free_port()}"
        self._folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **self.command.env}
        for node in range(self._nodes):
            self._report(node).unlink(missing_ok=True)
            argv = self._argv(node, rendezvous)
            self._processes.append(
                subprocess.Popen(argv, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
            )

    def _argv(self, node: int, rendezvous: str) -> list[str]:
        config = self._config
        agent = [sys.executable, "-m", "nava.launch.agent", "--parent", str(os.getpid())]
        agent += ["--log-dir", str(self._folder / self._name(node)), "--report", str(self._report(node))]
        agent += ["--workdir", str(self.command.workdir), "--grace-s", str(math.ceil(self.command.grace_period_s))]
        agent += ["--nodes", str(config.nodes), "--processes", str(config.processes_per_node)]
        if rendezvous:
            agent += ["--rendezvous", rendezvous, "--rendezvous-id", job_name(self.command)]
            agent += ["--rendezvous-timeout-s", str(config.rendezvous_timeout_s)]
        program, *arguments = self.command.argv
        return [*agent, "--", sys.executable if program == PYTHON else program, *arguments]

    def _report(self, node: int) -> Path:
        return self._folder / f"failure-{self._name(node)}.json"

    def _name(self, node: int) -> str:
        """Of a node here: other machines may share the folder."""
        return f"node{self._machine + node}"

    def running(self) -> bool:
        """Whether any has not ended."""
        for node, process in enumerate(self._processes):
            if process.poll() is not None:
                self._ended_at_s.setdefault(node, time.time())
        return len(self._ended_at_s) < len(self._processes)

    def failed(self) -> bool:
        """Whether any has ended other than well."""
        return any(process.poll() not in (None, 0) for process in self._processes)

    def stop(self, grace_period_s: float) -> float:
        """Tell all to end and wait. Agents kill those of their ranks that have not ended after the grace period.

        Returns:
            Seconds that took.
        """
        started = time.monotonic()
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        while self.running() and time.monotonic() - started < grace_period_s + _AGENT_MARGIN_S:
            time.sleep(_POLL_S)
        self.kill()
        return time.monotonic() - started

    def kill(self) -> None:
        """End what is still there. The kernel kills a rank whose agent is gone."""
        for process in self._processes:
            if process.poll() is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def first_failure(self) -> RankFailure:
        """The failure to blame, of all nodes here; an agent without a report is blamed itself."""
        failures = []
        for node, process in enumerate(self._processes):
            if self._report(node).is_file():
                failures.append(RankFailure(**read_json(self._report(node))))
            elif process.returncode:
                code = -signal.SIGTERM if process.returncode == EXIT_STOPPED else process.returncode
                failures.append(RankFailure(None, code, "", self._ended_at_s.get(node, time.time())))
        return earliest(failures) if failures else RankFailure(None, EXIT_FAILED, "", 0.0)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
