"""Folders as users have them: broken files, files that only look like media, and folders with nothing in them."""

import shutil
from pathlib import Path

import pytest

from nava.data.synthetic.generate import generate
from tests.e2e.life_cycle import run

pytestmark = pytest.mark.e2e


def test_a_gate_that_fails_stops_the_run_before_training(tmp_path: Path) -> None:
    ending = run(tmp_path, "validation.min_kept_clips=100000")
    assert ending.code == 3, ending.output
    assert ending.summary["state"] == "gate_failed"
    states = ending.states()
    assert states["validate"] == "gate_failed"
    assert all(states[name] == "pending" for name in ("version", "encode", "train_stage1", "promote"))
    page = (tmp_path / "smoke" / "index.html").read_text()
    assert "100000" in page or "100,000" in page
