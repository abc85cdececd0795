"""Worker processes that die, hang or stumble harm their own unit only."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nava.runtime.worker_pool import _serve, run_units
from tests.runtime.running import is_running

LONG_S = 60.0


def work(unit):
    """`double:<n>`, `die:<path>` (every time), `die_once:<path>`, `hang`, `raise`, or `pid`."""
    kind, _, value = unit.partition(":")
    if kind == "die" or (kind == "die_once" and not Path(value).exists()):
        if value:
            with Path(value).open("a") as file:
                file.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "hang":
        time.sleep(600)
    if kind == "raise":
        raise ValueError("not today")
    return os.getpid() if kind == "pid" else value * 2


def run(units, workers=2, timeout_s=LONG_S, attempts=2):
    return {outcome.unit: outcome for outcome in run_units(work, units, workers, timeout_s, attempts)}


def test_every_unit_has_one_outcome_from_processes_of_its_own():
    outcomes = list(run_units(work, [f"double:{n}" for n in range(7)] + ["pid"], 2, LONG_S, 2))
    assert sorted(outcome.unit for outcome in outcomes) == sorted([f"double:{n}" for n in range(7)] + ["pid"])
    assert all(not outcome.failure for outcome in outcomes)
    results = {outcome.unit: outcome.result for outcome in outcomes}
    assert results["double:3"] == "33"
    assert results["pid"] != os.getpid()


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_unit_that_kills_every_worker_is_tried_so_often_and_the_rest_is_done(tmp_path, attempts):
    poison = f"die:{tmp_path / 'deaths'}"
    outcomes = run(["double:1", poison, "double:2", "double:3"], attempts=attempts)
    assert outcomes[poison].failure == "killed"
    assert outcomes[poison].detail == f"ended its worker process each of {attempts} times"
    assert (tmp_path / "deaths").read_text() == "x" * attempts
    assert [outcomes[f"double:{n}"].result for n in (1, 2, 3)] == ["11", "22", "33"]


def test_a_worker_killed_from_outside_costs_nothing(tmp_path):
    unit = f"die_once:{tmp_path / 'once'}"
    outcomes = run([unit, "double:1"])
    assert outcomes[unit].failure == ""
    assert outcomes["double:1"].result == "11"


def test_several_poisons_are_each_named(tmp_path):
    poisons = [f"die:{tmp_path / name}" for name in "abc"]
    outcomes = run([*poisons, "double:1"])
    assert [outcomes[poison].failure for poison in poisons] == ["killed"] * 3
    assert outcomes["double:1"].result == "11"


def test_an_error_is_the_units_own():
    outcomes = run(["raise", "double:1"], workers=1)
    assert (outcomes["raise"].failure, outcomes["raise"].detail) == ("error", "ValueError: not today")
    assert outcomes["double:1"].result == "11"


def test_a_unit_that_hangs_is_ended():
    outcomes = run(["hang"], workers=1, timeout_s=1.5)
    assert outcomes["hang"].failure == "timed_out"


def test_no_units_start_no_process():
    assert run([]) == {}


def test_leaving_early_ends_the_workers():
    outcomes = run_units(work, ["pid", "hang"], 2, LONG_S, 2)
    pid = next(outcomes).result
    outcomes.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for processes in /proc")
@pytest.mark.parametrize("after", ["['double:1'] * 10**6", "['hang']"])
def test_workers_end_with_a_parent_that_is_killed(after):
    code = (
        "from nava.runtime.worker_pool import run_units\n"
        "from tests.runtime.test_worker_pool import work\n"
        "if __name__ == '__main__':\n"
        f"    for outcome in run_units(work, ['pid'] + {after}, 1, 60.0, 2):\n"
        "        print(outcome.result, flush=True)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    for _ in range(1_000):
        if not is_running(worker):
            break
        time.sleep(0.02)
    assert not is_running(worker)


def test_a_worker_whose_parent_is_gone_ends_without_a_word():
    ours, theirs = multiprocessing.Pipe()
    ours.send("unit")
    _serve(theirs, lambda _unit: ours.close())
