"""Training under fire: random kills by the hundred, spread over steps and saves, in one process and in two."""

import random
from pathlib import Path

import pytest

from tests.training.kills import curve, run_with_kills
from tests.training.stage_runs import run_in

pytestmark = pytest.mark.soak

KILLS = 100
EVERY = 10


@pytest.mark.parametrize("beside", [False, True], ids=["saves between the steps", "saves beside the steps"])
@pytest.mark.parametrize(("processes", "stage"), [(1, 1), (2, 3)])
def test_a_hundred_random_kills_lose_at_most_a_save_and_change_nothing(
    tmp_path: Path, processes: int, stage: int, beside: bool
) -> None:
    training = {
        "stage2": {"steps": 1500},
        "checkpoint_every_steps": EVERY,
        "checkpoint_async": beside,
        "zero_stage": stage,
    }
    straight = run_in(processes, tmp_path, [{"workdir": "straight", "training": training}])
    assert straight.returncode == 0, straight.stderr[-2000:]
    chance, kills, rounds = random.Random(processes), 0, 0
    while kills < KILLS:
        workdir, rounds = tmp_path / f"killed{rounds}", rounds + 1
        found = run_with_kills(workdir, training, processes, chance, KILLS - kills)
        kills += found.kills
        # One interval; beside the steps also those that were done while the save was being written.
        assert max(found.lost) <= EVERY * (2 if beside else 1), found.worst
        assert curve(workdir) == curve(tmp_path / "straight")
