"""A process that hangs, deaf to the signal of its parent's death, ends all the same, and its children with it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.runtime.running import is_running

REPOSITORY = Path(__file__).parents[2]
DEAF = """
import os, signal, subprocess, sys, time
from nava.runtime.parent_death import end_after_parent
signal.signal(signal.SIGTERM, signal.SIG_IGN)
end_after_parent(int(sys.argv[1]), 0.1)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
PARENT = """
import os, subprocess, sys, time
subprocess.Popen([sys.executable, "-c", sys.argv[1], str(os.getpid())])
time.sleep(600)
"""


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="reads the process tree from /proc")
def test_a_deaf_process_ends_some_time_after_its_parent() -> None:
    command = [sys.executable, "-c", PARENT, DEAF]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert [is_running(pid) for pid in pids] == [True, True]
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 300
        while any(map(is_running, pids)):
            assert time.monotonic() < deadline, "still there"
            time.sleep(0.05)
