"""The short form of tests/soak/test_training_kills.py."""

import random
from pathlib import Path

import pytest

from nava.runtime.hashing import sha256_tree
from tests.training.kills import curve, run_with_kills
from tests.training.stage_runs import run_in

EVERY = 5


@pytest.mark.parametrize("beside", [True, False], ids=["saves beside the steps", "saves between the steps"])
def test_a_stage_that_is_killed_at_random_moments_ends_the_same(tmp_path: Path, beside: bool) -> None:
    training = {"stage2": {"steps": 60}, "checkpoint_every_steps": EVERY, "checkpoint_async": beside, "engine": "plain"}
    straight = run_in(1, tmp_path, [{"workdir": "straight", "training": training}])
    assert straight.returncode == 0, straight.stderr[-2000:]
    found = run_with_kills(tmp_path / "killed", training, 1, random.Random(beside), kills=3)
    assert found.kills >= 2
    # A save that is being written beside the next steps counts once it is complete.
    assert all(lost <= EVERY * (2 if beside else 1) for lost in found.lost), found.lost
    assert curve(tmp_path / "killed") == curve(tmp_path / "straight")
    assert sha256_tree(tmp_path / "killed" / "result") == sha256_tree(tmp_path / "straight" / "result")
