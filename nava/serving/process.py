"""The service as a child process: started, waited for, and gone at the end however the end comes."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from nava.runtime.errors import NavaError

POLL_S = 0.1
STOP_TIMEOUT_S = 10.0
LOG_LINES = 15
# The server starts a worker that failed again and again; waiting for it would only hide the reason.
STARTUP_FAILED = "Application startup failed"
_PR_SET_PDEATHSIG = 1


class ServiceFailed(NavaError):  # noqa: N818 - a finding, worded for the user
    """The service did not start or did not answer; the message has the last lines of its log."""


def free_port(host: str) -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_service(
    command: list[str], environment: dict[str, str], url: str, log: Path, timeout_s: float
) -> Iterator[None]:
    """Run the service while the block runs; it is ready when the block starts.

    Args:
        command: starts the service.
        environment: variables added to this process's own.
        url: address that the service answers at.
        log: file for its output.
        timeout_s: how long it may take until it is ready.

    Raises:
        ServiceFailed: it ended, failed to load, or was not ready in time.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
    try:
        _wait_until_ready(process, url, log, timeout_s)
        yield
    finally:
        stop_group(process)


def stop_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and all its children: first politely, then not."""
    # The leader keeps the group's number reserved until it is waited for, so no stranger can be hit.
    _signal_group(process.pid, signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        pass
    finally:
        _signal_group(process.pid, signal.SIGKILL)
        process.wait()


def last_lines(log: Path, count: int = LOG_LINES) -> str:
    """The end of a log, for an error message."""
    lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
    return "\n".join([line for line in lines if line.strip()][-count:])


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    with httpx.Client(trust_env=False, timeout=2.0) as client:
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise _failed(f"the service ended with code {process.returncode} before it was ready", log)
            if STARTUP_FAILED in log.read_text(errors="replace"):
                raise _failed("the service could not load the package", log)
            try:
                if client.get(f"{url}/readyz").status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(POLL_S)
    raise _failed(f"the service was not ready after {timeout_s:g} s (serving.start_timeout_s)", log)


def _failed(reason: str, log: Path) -> ServiceFailed:
    return ServiceFailed(f"{reason}; its log is {log}, the last lines:\n{last_lines(log)}")


def _signal_group(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return


def _die_with_parent() -> None:
    """Ask Linux to end this process when its parent is gone, so that a killed run leaves no server behind."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
