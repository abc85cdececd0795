"""Checkpoints of a stage: damage of any file is seen, a bucket has them too, and a hang ends in an error."""

import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from nava.artifacts.checkpoint import CheckpointManifest, verify
from nava.runtime.hashing import sha256_tree
from nava.training.checkpoints import CheckpointFailedError, Checkpoints
from nava.training.curves import CurveRow
from nava.training.engine import PlainEngine
from nava.training.run_folder import read_rows
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


# As a full disk does, it lets the small files of a run through, and the write of the state fails half way.
LIMITED = """
import resource
from tests.training.interrupted_stage import main
resource.setrlimit(resource.RLIMIT_FSIZE, (32768, 32768))
main()
"""


def test_a_disk_that_cannot_be_written_is_an_error_with_its_reason(tmp_path: Path) -> None:
    """The real write of safetensors fails here, which raises no OSError."""
    command = [sys.executable, "-c", LIMITED, str(tmp_path), "plain"]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=False, text=True, capture_output=True, env=environment)
    assert done.returncode == 1, done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.startswith(f"the checkpoint could not be written to {tmp_path / 'checkpoints'}: a file grew larger")
    assert last.endswith("make room and run the same command again")
    assert not (tmp_path / "result").exists()
    assert not [path for path in (tmp_path / "checkpoints").iterdir() if path.name.startswith("step-")]


def test_a_save_beside_the_steps_that_fails_ends_training_at_once(tmp_path: Path) -> None:
    job = stage_job(tmp_path, "plain")
    job = replace(job, training=replace(job.training, checkpoint_every_steps=20, checkpoint_async=True))
    job.training.stage2.steps = 60
    failed = threading.Event()

    def full(*_arguments: object, **_named: object) -> None:
        failed.set()
        _full()

    def waiting(rows: Iterator[CurveRow], _total: int, _label: str) -> Iterator[CurveRow]:
        for row in rows:
            if row.step > 20:
                failed.wait(60)
                # From the error to the future that tells of it.
                time.sleep(0.5)
            yield row

    job = replace(job, progress=waiting)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nava.training.state_file.save_file", full)
        with pytest.raises(CheckpointFailedError, match="no space left on the disk: make room and run the same"):
            run_stage(job)
    # Not at the next save, which is after step 40: each step after the 20th waits until the save has failed.
    assert len(read_rows(tmp_path / "metrics.jsonl")) == 21


ONE_DISK_IS_FULL = """
import sys
from pathlib import Path
from nava.runtime.errors import NavaError
from nava.training.stage import run_stage
from nava.training.world import join_world
from tests.training.stage_runs import job_of

def full(*_arguments, **_named):
    raise OSError(28, "No space left on device")

job = job_of(Path(sys.argv[1]), {"stage2": {"steps": 6}})
rank = join_world(job.training).rank
if rank == 1:
    import nava.training.state_file
    nava.training.state_file.save_file = full
try:
    run_stage(job)
except NavaError as error:
    print(f"rank {rank}: {error}", file=sys.stderr, flush=True)
    sys.exit(1)
"""


def test_a_disk_that_is_full_for_one_process_ends_all_of_them(tmp_path: Path) -> None:
    script = tmp_path / "full.py"
    script.write_text(ONE_DISK_IS_FULL)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*command, str(tmp_path)], check=False, text=True, capture_output=True, env=environment)
    assert done.returncode != 0
    # Both end at once, and torchrun may stop one before it has said why.
    said = [line for line in done.stderr.splitlines() if line.startswith("rank ")]
    assert said, done.stderr
    wanted = (
        "rank 0: another process could not write its part of the checkpoint",
        "rank 1: the checkpoint could not be",
    )
    assert all(line.startswith(wanted) for line in said), said
    assert not (tmp_path / "result").exists()


def test_a_record_that_a_dead_process_never_writes_does_not_keep_the_first_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nava.training.checkpoints._PATIENCE_S", 0.1)
    job = stage_job(tmp_path, "plain")
    config = replace(job.training, checkpoint_async=True)
    assert config.guard.collective_timeout_s > 100
    checkpoints = Checkpoints(tmp_path, config, "c0ffee", World(rank=0, size=2), print)
    state = PlainEngine(config, torch.nn.Linear(2, 2)).state
    checkpoints.save(state, CheckpointManifest(2, 1, 4, "c0ffee", {}), lambda part: None)
    since = time.monotonic()
    checkpoints.close()
    assert time.monotonic() - since < 20
    assert [path.name for path in tmp_path.iterdir()] == [".part-00000001"]


def test_what_others_still_write_is_waited_for_when_training_ends_on_an_error(tmp_path: Path) -> None:
    config = replace(stage_job(tmp_path, "plain").training, checkpoint_async=True)
    checkpoints = Checkpoints(tmp_path, config, "c0ffee", World(rank=0, size=2), print)
    engine, manifest = PlainEngine(config, torch.nn.Linear(2, 2)), CheckpointManifest(2, 1, 4, "c0ffee", {})
    checkpoints.save(engine.state, manifest, lambda part: None)
    other = Checkpoints(tmp_path, config, "c0ffee", World(rank=1, size=2), print)
    late = threading.Timer(0.5, other.save, (engine.state, manifest, lambda part: None))
    late.start()
    checkpoints.close()
    late.join()
    other.close()
    assert set(verify(tmp_path / "step-00000001").files) == {"state-00000.safetensors", "state-00001.safetensors"}


def test_the_others_have_as_long_as_the_own_file_took_counted_from_when_it_was_written(tmp_path: Path) -> None:
    config = replace(stage_job(tmp_path, "plain").training, checkpoint_async=True)
    checkpoints = Checkpoints(tmp_path, config, "c0ffee", World(rank=0, size=2), print)
    checkpoints.close()
    now = time.monotonic()
    assert not checkpoints._waited_enough(now - 60)
    # Training ended long ago, and the own file was written just now.
    checkpoints._closed_at = now - 1000
    assert not checkpoints._waited_enough(now)
    assert checkpoints._waited_enough(now - 60)
    checkpoints._own_write_s = 500.0
    assert not checkpoints._waited_enough(now - 60)


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
    flip_a_bit(tmp_path / "checkpoints" / "step-00000006" / "state-00000.safetensors")
    job = stage_job(tmp_path, "plain")
    run_stage(replace(job, training=replace(job.training, checkpoint_every_steps=5)))
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert [name for name in left if name.startswith("step-")] == ["step-00000005", "step-00000006"]
    # That of the latest step can still be looked into.
    assert [name for name in left if name.startswith(".")] == [".rejected-step-00000006"]


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
