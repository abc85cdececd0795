"""kill -9 of the whole process group at any moment, again and again: the run still ends as if nothing had happened."""

import random
import subprocess
from pathlib import Path

import pytest

from tests.e2e.life_cycle import checkpoint_hash, kill, run, start

pytestmark = pytest.mark.soak
ROUNDS = 8
SHORTEST_S, LONGEST_S = 2.0, 60.0


def killed_after(workspace: Path, delay_s: float) -> bool:
    """Start the run and kill its process group after a while; False if it ended by itself before."""
    process = start(workspace)
    try:
        process.communicate(timeout=delay_s)
    except subprocess.TimeoutExpired:
        kill(process)
        return True
    return False


def test_a_run_killed_at_any_moment_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    # The moments differ from machine to machine; what is asserted holds for all of them.
    delays = random.Random(0)
    killed = 0
    while killed < ROUNDS and killed_after(tmp_path / "killed", delays.uniform(SHORTEST_S, LONGEST_S)):
        killed += 1
    assert killed, "the run ended before it was killed once"

    resumed = run(tmp_path / "killed")
    assert resumed.code == 0, resumed.output
    undisturbed = run(tmp_path / "undisturbed")
    assert undisturbed.code == 0, undisturbed.output
    assert checkpoint_hash(tmp_path / "killed", resumed) == checkpoint_hash(tmp_path / "undisturbed", undisturbed)
    assert resumed.summary["model_version"]["version"] == "1", "a killed run was registered more than once"
