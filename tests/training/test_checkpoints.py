"""Checkpoints of a stage: damage of any file is seen, a bucket has them too, and a hang ends in an error."""

import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from nava.runtime.hashing import sha256_tree
from nava.training.checkpoints import CheckpointFailedError, Checkpoints
from nava.training.stage import run_stage
from nava.training.world import World
from tests.training.interrupted_stage import stage_job

REPOSITORY = Path(__file__).parents[2]
FILES = ("manifest.json", "state-00000.safetensors", "curves.jsonl", "loader.json")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stage of six steps with the checkpoints of steps 4 and 6."""
    folder = tmp_path_factory.mktemp("trained")
    run_stage(stage_job(folder, "plain"))
    return folder


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[random.Random(path.name).randrange(len(data))] ^= 1 << 3
    path.write_bytes(data)


def cut_off(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-2])


@pytest.mark.parametrize("damage", [flip_a_bit, cut_off, Path.unlink], ids=["bit", "cut", "gone"])
@pytest.mark.parametrize("name", FILES)
def test_damage_of_any_file_is_seen_and_the_one_before_is_used(
    trained: Path, tmp_path: Path, name: str, damage
) -> None:
    shutil.copytree(trained / "checkpoints", tmp_path / "checkpoints")
    newest = tmp_path / "checkpoints" / "step-00000006"
    assert sorted(path.name for path in newest.iterdir()) == sorted(FILES)
    damage(newest / name)
    job, said = stage_job(tmp_path, "plain"), []
    found = Checkpoints(tmp_path / "checkpoints", job.training, job.config_hash, World(), said.append).latest()
    assert found == tmp_path / "checkpoints" / "step-00000004"
    assert "checkpoint step-00000006 is not used" in said[0]
    assert name in said[0]


def test_best_checkpoints_stay_beside_the_newest(tmp_path: Path) -> None:
    job = stage_job(tmp_path, "plain")
    losses = iter([3.0, 1.0, 2.0, 4.0, 5.0, 6.0])
    training = replace(
        job.training, checkpoint_every_steps=1, keep_checkpoints=1, keep_best_checkpoints=2, validate_every_steps=1
    )
    trainer_validation = "nava.training.stage._Stage.validation"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trainer_validation, lambda self, synchrony=False: {"total": next(losses, 9.0), "tasks": {}})
        run_stage(replace(job, training=training))
    # The first of the losses is that before the stage, so step 1 has 1.0 and step 2 has 2.0.
    kept = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert kept == ["step-00000001", "step-00000002", "step-00000006"]


def test_a_disk_that_cannot_be_written_is_an_error_with_its_reason(tmp_path: Path) -> None:
    job = stage_job(tmp_path, "plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nava.training.state_file.save_file", _full)
        with pytest.raises(CheckpointFailedError, match=r"could not be written: .*No space left"):
            run_stage(job)
    assert not (tmp_path / "result").exists()
    assert not [path for path in (tmp_path / "checkpoints").iterdir() if path.name.startswith("step-")]


def _full(*_arguments: object, **_named: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_new_machine_goes_on_from_the_bucket(trained: Path, tmp_path: Path) -> None:
    """The bucket is fsspec's in memory here; tests/s3 has the same with a server."""
    import fsspec

    bucket = f"memory://bucket/{tmp_path.name}"
    job = stage_job(tmp_path / "first", "plain")
    training = replace(job.training, checkpoint_uri=bucket, keep_checkpoints=1)
    run_stage(replace(job, training=training))
    files = fsspec.filesystem("memory")
    [stage] = files.ls(bucket, detail=False)
    [kept] = files.ls(stage, detail=False)
    assert kept.endswith("step-00000006")
    assert sorted(path.rpartition("/")[2] for path in files.ls(kept, detail=False)) == sorted(FILES)
    said: list[str] = []
    elsewhere = replace(stage_job(tmp_path / "second", "plain"), training=training, log=said.append)
    result = run_stage(elsewhere)
    assert any("step-00000006 was fetched from" in line for line in said)
    assert "stage 2: goes on after step 6 of 6" in said
    assert sha256_tree(result) == sha256_tree(trained / "result")
    # Without its manifest a checkpoint in the bucket does not exist.
    files.rm_file(f"{kept}/manifest.json")
    said.clear()
    run_stage(replace(stage_job(tmp_path / "third", "plain"), training=training, log=said.append))
    assert not [line for line in said if "fetched" in line]


def test_a_damaged_checkpoint_in_the_bucket_is_passed_over_and_another_stage_is_left_alone(tmp_path: Path) -> None:
    import fsspec

    bucket, files = f"memory://bucket/{tmp_path.name}", fsspec.filesystem("memory")
    job = stage_job(tmp_path / "first", "plain")
    training = replace(job.training, checkpoint_uri=bucket)
    run_stage(replace(job, training=training))
    other = replace(stage_job(tmp_path / "other", "plain"), training=training, seed=10)
    run_stage(other)
    stages = files.ls(bucket, detail=False)
    assert [len(files.ls(stage, detail=False)) for stage in stages] == [2, 2]
    own = next(stage for stage in stages if stage.endswith(replace(job, training=training).config_hash[:16]))
    files.pipe_file(f"{own}/step-00000006/loader.json", b"{}")
    said: list[str] = []
    run_stage(replace(stage_job(tmp_path / "second", "plain"), training=training, log=said.append))
    assert any("step-00000004 was fetched from" in line for line in said)
    assert "stage 2: goes on after step 4 of 6" in said
    # Mended by the run that went on.
    assert files.cat_file(f"{own}/step-00000006/loader.json") != b"{}"


def test_a_bucket_that_is_out_of_reach_costs_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, said = stage_job(tmp_path, "plain"), []
    training = replace(job.training, checkpoint_uri=f"memory://bucket/{tmp_path.name}")
    monkeypatch.setattr("fsspec.implementations.memory.MemoryFileSystem.put_file", _full)
    run_stage(replace(job, training=training, log=said.append))
    assert any("step-00000006 is complete here, but not in the bucket" in line for line in said)


def test_rejected_checkpoints_do_not_push_out_new_ones(trained: Path, tmp_path: Path) -> None:
    shutil.copytree(trained / "checkpoints", tmp_path / "checkpoints")
    for folder in (tmp_path / "checkpoints").iterdir():
        flip_a_bit(folder / "state-00000.safetensors")
    job = stage_job(tmp_path, "plain")
    run_stage(replace(job, training=replace(job.training, checkpoint_every_steps=3)))
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert [name for name in left if name.startswith("step-")] == ["step-00000003", "step-00000006"]
    assert sum(name.startswith(".rejected-step-") for name in left) == 2


HANGING = """
import sys, time, torch, torch.distributed as dist
from nava.runtime.errors import NavaError
from nava.training.world import collective_errors, join_world, limit_waiting
from tests.training.latents_in_memory import tiny_training
config = tiny_training(engine="deepspeed", micro_batches_per_step=2)
config.guard.collective_timeout_s = 3.0
world = join_world(config)
world.barrier()
try:
    with collective_errors(world, 3.0):
        # As DeepSpeed makes its groups.
        group = dist.new_group([0, 1])
        limit_waiting(3.0)
        if world.rank == 1:
            time.sleep(600)
        dist.all_reduce(torch.ones(1), group=group)
except NavaError as error:
    sys.exit(f"nava: {error}")
"""


def test_a_process_that_hangs_ends_the_others_with_an_error(tmp_path: Path) -> None:
    script = tmp_path / "hanging.py"
    script.write_text(HANGING)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, text=True, capture_output=True, env=environment)
    assert done.returncode != 0
    assert "nava: process 0 waited longer than 3 s for the other processes" in done.stderr
