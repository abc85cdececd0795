"""A stage on clips of several sizes, as a real corpus has them."""

import json
from dataclasses import replace
from pathlib import Path

from nava.training.curves import read_curves
from nava.training.stage import run_stage
from tests.training.interrupted_stage import stage_job
from tests.training.latents_in_memory import LatentsInMemory


def test_two_sizes_are_trained_and_validated(tmp_path: Path) -> None:
    shards = LatentsInMemory(held_out=3, wide=7)
    job = replace(stage_job(tmp_path / "stage2", "plain"), shards=shards)
    before = run_stage(job)
    result = run_stage(replace(job, stage=3, previous=before, workdir=tmp_path / "stage3"))
    validation = json.loads((result / "validation.json").read_text())
    assert validation["clips"]["av"] == 6
    assert {level["clips"] for level in validation["last"]["synchrony"].values()} == {6}
    assert len(read_curves(result / "curves.jsonl")) == job.training.stage3.steps
