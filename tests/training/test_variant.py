"""The ablation's training step: every seed and stage once, whatever happened before."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import nava.training.stage
from nava.config.ablation import VARIANTS
from nava.config.launch import LaunchConfig
from nava.config.training import TrainingConfig
from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.step import Step
from nava.runtime.storage import read_json
from nava.training.job_file import TrainingJob
from nava.training.stage import StageJob
from nava.training.variant import train_variant
from nava.training.worker import stage_job
from tests.training.latents_in_memory import TINY_MODEL, LatentsInMemory, tiny_training

run_stage = nava.training.stage.run_stage


class Stages:
    """The stages that were really trained, and where the next run is to die."""

    def __init__(self) -> None:
        self.trained: list[tuple[int, int]] = []
        self.die_in: tuple[int, int] | None = None

    def run(self, job: StageJob) -> Path:
        where = (job.seed, job.stage)
        if where == self.die_in:
            progress = job.progress

            def dying(rows: Iterator[Any], total: int, label: str) -> Iterator[Any]:
                for row in progress(rows, total, label):
                    if row.step == 3:
                        raise KeyboardInterrupt
                    yield row

            job = dataclasses.replace(job, progress=dying)
        self.trained.append(where)
        return run_stage(job)


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> Stages:
    watched = Stages()
    monkeypatch.setattr("nava.data.shards.LatentShards", lambda *_arguments: LatentsInMemory())
    monkeypatch.setattr("nava.training.stage.run_stage", watched.run)
    return watched


SHARDS = Handle("latent_shards", "/nowhere", "a" * 64)


def _short_training(**changes: object) -> TrainingConfig:
    """One step in stages 1 and 3, and in stage 2 as many as it takes to be killed after a checkpoint."""
    training = tiny_training(validation_sigmas=[0.2, 0.8], **changes)
    for stage, steps in zip(training.stages(), (1, 4, 1), strict=True):
        stage.steps = steps
    return training


def a_step(run_dir: Path, name: str = "first", seeds: int = 2, **training: object) -> Step:
    sections = {
        "ablation": {"seeds": seeds, "hal_only_layers": 2, "ufl_only_layers": 2},
        "training": dataclasses.asdict(_short_training(**training)),
        "model": json.loads(json.dumps(dataclasses.asdict(TINY_MODEL))) | {"num_trimodal_layers": 2},
        **{name: {} for name in ("diffusion", "loader", "launch", "cluster", "tracking")},
    }
    workdir = run_dir / "steps" / name
    workdir.mkdir(parents=True, exist_ok=True)
    return Step("train_variant", run_dir, "run", sections, seed=3, key="0" * 64, workdir=workdir)


def result_of(handle: Handle) -> dict[str, Any]:
    value: dict[str, Any] = read_json(handle.path / "variant.json")
    return value


def test_each_seed_goes_through_all_stages(stages: Stages, tmp_path: Path) -> None:
    handle = train_variant(a_step(tmp_path), SHARDS, variant="hal_only")
    assert handle.kind == "ablation_variant"
    assert stages.trained == [(seed, stage) for seed in (3, 4) for stage in (1, 2, 3)]
    result = result_of(handle)
    assert (result["variant"], result["architecture"]) == ("hal_only", "align_then_fuse")
    assert result["layers"] == {"num_hal_layers": 2, "num_ufl_layers": 0, "num_final_hal_layers": 0}
    assert [run["seed"] for run in result["runs"]] == [3, 4]
    assert result["runs"][0]["video_loss"] != result["runs"][1]["video_loss"]
    assert result["runs"][0]["split"] == {"av": "heldout", "audio": "heldout"}
    gaps = result["runs"][0]["synchrony_gap_by_sigma"]
    assert result["runs"][0]["synchrony_gap"] == pytest.approx(sum(gaps.values()) / 2)
    assert all(seconds > 0 for seconds in handle.meta["seconds_per_step"])
    assert list(tmp_path.rglob("checkpoints")) == [], "finished stages keep no checkpoints"


def test_a_killed_step_goes_on_in_the_stage_it_was_in(stages: Stages, tmp_path: Path) -> None:
    undisturbed = train_variant(a_step(tmp_path / "other"), SHARDS, variant="align_then_fuse")
    stages.trained.clear()
    stages.die_in = (4, 2)
    with pytest.raises(KeyboardInterrupt):
        train_variant(a_step(tmp_path), SHARDS, variant="align_then_fuse")
    stages.die_in = None
    stages.trained.clear()
    handle = train_variant(a_step(tmp_path), SHARDS, variant="align_then_fuse")
    assert stages.trained == [(4, 2), (4, 3)]
    assert handle.sha256 == undisturbed.sha256


def test_another_seed_repeats_none_of_the_earlier_ones(stages: Stages, tmp_path: Path) -> None:
    first = result_of(train_variant(a_step(tmp_path, seeds=1), SHARDS, variant="trimodal"))
    stages.trained.clear()
    second = result_of(train_variant(a_step(tmp_path, "second", seeds=2), SHARDS, variant="trimodal"))
    assert stages.trained == [(4, 1), (4, 2), (4, 3)]
    assert second["runs"][:1] == first["runs"]
    assert second["shared"] == first["shared"]


def test_other_settings_or_shards_are_trained_anew(stages: Stages, tmp_path: Path) -> None:
    first = result_of(train_variant(a_step(tmp_path, seeds=1), SHARDS, variant="ufl_only"))
    stages.trained.clear()
    changed = a_step(tmp_path, "second", seeds=1, learning_rate=1e-3)
    second = result_of(train_variant(changed, SHARDS, variant="ufl_only"))
    other = dataclasses.replace(SHARDS, sha256="b" * 64)
    third = result_of(train_variant(a_step(tmp_path, "third", seeds=1), other, variant="ufl_only"))
    assert stages.trained == [(3, stage) for stage in (1, 2, 3)] * 2
    assert len({found["shared"]["config_sha256"] for found in (first, second, third)}) == 3


def test_what_variants_share_is_the_same_for_all(stages: Stages, tmp_path: Path) -> None:
    steps = (a_step(tmp_path, name, seeds=1) for name in VARIANTS)
    found = [result_of(train_variant(step, SHARDS, variant=step.workdir.name))["shared"] for step in steps]
    assert all(shared == found[0] for shared in found)
    assert len(stages.trained) == 3 * len(VARIANTS)


def test_wrong_input_is_refused_before_training(stages: Stages, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the ablation's variant is 'unet'"):
        train_variant(a_step(tmp_path), SHARDS, variant="unet")
    with pytest.raises(InputError, match="expected a handle of kind 'latent_shards'"):
        train_variant(a_step(tmp_path), dataclasses.replace(SHARDS, kind="clips"), variant="hal_only")
    assert stages.trained == []


def test_stages_go_through_the_launcher_that_the_recipe_asks_for(
    stages: Stages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched = []

    def launch(job: TrainingJob, launch: LaunchConfig, name: str) -> Path:
        launched.append((name, launch.processes_per_node))
        return stages.run(stage_job(job, lambda rows, _total, _label: rows, print))

    monkeypatch.setattr("nava.training.job_launch.launch_job", launch)
    step = a_step(tmp_path / "two", seeds=1)
    step.sections["launch"] = {"processes_per_node": 2}
    together = result_of(train_variant(step, SHARDS, variant="hal_only"))
    assert launched == [(f"train_variant, seed 3, stage {stage}", 2) for stage in (1, 2, 3)]
    alone = result_of(train_variant(a_step(tmp_path / "one", seeds=1), SHARDS, variant="hal_only"))
    assert together == alone, "where it runs is no part of the result"


def test_the_module_of_the_step_is_light() -> None:
    code = "import sys; import nava.training.variant; print(sorted({'torch', 'deepspeed'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True)
    assert found.stdout.strip() == "[]"
