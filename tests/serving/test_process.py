import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nava.serving.process import ServiceFailed, free_port, last_lines, running_service

HOST = "127.0.0.1"
# Stands in for a server: answers /readyz, starts a child in its group, and ignores polite requests to end.
SERVER = """
import http.server, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[2] == 'stubborn' else signal.SIG_DFL)
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])
print('child', child.pid, flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *_): pass
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
"""


def gone(pid):
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        if _state(pid) == "Z":
            return True
        time.sleep(0.05)
    return False


def _state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return "Z"


def child_of(log):
    return int(next(line.split()[1] for line in log.read_text().splitlines() if line.startswith("child")))


def server(log, manner="polite", port=None):
    port = port or free_port(HOST)
    return running_service([sys.executable, "-c", SERVER, str(port), manner], {}, f"http://{HOST}:{port}", log, 30)


def test_the_service_is_ready_inside_and_gone_with_its_children_after(tmp_path):
    log = tmp_path / "log"
    with server(log):
        child = child_of(log)
        os.kill(child, 0)
    assert gone(child)


def test_it_is_gone_as_well_when_the_block_fails(tmp_path):
    log = tmp_path / "log"
    children = []

    def fail_inside():
        with server(log):
            children.append(child_of(log))
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail_inside()
    assert gone(children[0])


def test_a_stubborn_service_is_ended_by_force(tmp_path, monkeypatch):
    monkeypatch.setattr("nava.serving.process.STOP_TIMEOUT_S", 0.2)
    log = tmp_path / "log"
    with server(log, "stubborn"):
        child = child_of(log)
    assert gone(child)


def test_a_service_that_ends_is_an_error_with_the_end_of_its_log(tmp_path):
    command = [sys.executable, "-c", "print('no such package'); raise SystemExit(3)"]
    service = running_service(command, {}, f"http://{HOST}:9", tmp_path / "log", 30)
    with pytest.raises(ServiceFailed, match=r"(?s)ended with code 3.*no such package"), service:
        pytest.fail("must not be ready")


def test_a_service_that_cannot_load_is_not_waited_for(tmp_path):
    code = "import time; print('refused'); print('Application startup failed. Exiting.', flush=True); time.sleep(600)"
    service = running_service([sys.executable, "-c", code], {}, f"http://{HOST}:9", tmp_path / "log", 600)
    with pytest.raises(ServiceFailed, match=r"(?s)could not load the package.*refused"), service:
        pytest.fail("must not be ready")


def test_a_service_that_never_gets_ready_is_given_up(tmp_path):
    code = "import time; print('still thinking', flush=True); time.sleep(600)"
    service = running_service([sys.executable, "-c", code], {}, f"http://{HOST}:9", tmp_path / "log", 1.5)
    with pytest.raises(ServiceFailed, match=r"not ready after 1\.5 s \(serving\.start_timeout_s\)"), service:
        pytest.fail("must not be ready")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_killed_run_leaves_no_service_behind(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from nava.serving.process import running_service\n"
        f"with running_service([sys.executable, '-c', 'import time; time.sleep(600)'], {{}}, 'http://{HOST}:9', "
        "Path(sys.argv[1]), 600): pass"
    )
    runner = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "log")])
    try:
        service = _child_pid(runner.pid)
    finally:
        runner.send_signal(signal.SIGKILL)
        runner.wait()
    assert gone(service)


def _child_pid(parent):
    for _ in range(300):
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        # Until it has become the service, the child is a copy of its parent.
        if children and "sleep" in _command(children[0]):
            return int(children[0])
        time.sleep(0.1)
    raise AssertionError("the service was never started")


def _command(pid):
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except FileNotFoundError:
        return ""
    return words[2] if len(words) > 2 and "running_service" not in words[2] else ""


def test_the_last_lines_of_a_log_leave_blank_ones_out(tmp_path):
    log = tmp_path / "log"
    assert last_lines(log) == ""
    log.write_text("a\n\nb\n\nc\n")
    assert last_lines(log, 2) == "b\nc"
