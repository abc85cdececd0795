"""The pipeline step: settings from its sections, latents from real shards, one stage after the other."""

import dataclasses
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from nava.artifacts.latent_shard import AUDIO, TEXT, VIDEO, LatentEntry, bucket_name, sequence_length, write_index
from nava.config.tracking import TrackingConfig
from nava.data.shards import write_shard
from nava.launch.command import LaunchStoppedError, TrainingCommand, job_name
from nava.runtime.errors import InputError, NavaError
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_file
from nava.runtime.step import Step
from nava.training.curves import read_curves
from nava.training.run_status import read_status
from nava.training.step import train
from tests.training.latents_in_memory import TINY_MODEL, LatentsInMemory, tiny_training


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Handle:
    """The corpus in memory as real shards."""
    folder = tmp_path_factory.mktemp("shards")
    source, entries = LatentsInMemory(), []
    for split in ("train", "heldout"):
        for modality in ("av", "audio"):
            ids = source.ids(split, modality)
            batch = source.read(ids)
            tensors = {AUDIO: batch.audio_BLC, TEXT: batch.text_BND}
            if batch.video_BCTHW is not None:
                tensors[VIDEO] = batch.video_BCTHW
            path = f"{modality}/{split}.safetensors"
            write_shard(folder / path, tensors, "test")
            video_shape = None if batch.video_BCTHW is None else tuple(batch.video_BCTHW.shape[1:])
            shapes = (video_shape, tuple(batch.audio_BLC.shape[1:]))
            entries += [
                LatentEntry(
                    clip_id=clip,
                    bucket=bucket_name(*shapes),
                    modality=modality,
                    split=split,
                    shard=path,
                    row=row,
                    shard_sha256=sha256_file(folder / path),
                    dtype="F32",
                    video_shape=shapes[0],
                    audio_shape=shapes[1],
                    text_shape=tuple(batch.text_BND.shape[1:]),
                    seq_len=sequence_length(*shapes),
                    video_codec_id="v",
                    audio_codec_id="a",
                    text_encoder_id="t",
                    caption=batch.captions[row],
                    dropped_words=0,
                    tags=(),
                )
                for row, clip in enumerate(ids)
            ]
    write_index(folder, entries)
    return Handle.of_path("latent_shards", folder)


def a_step(workdir: Path, **training: object) -> Step:
    workdir.mkdir(parents=True, exist_ok=True)
    sections = {
        "training": dataclasses.asdict(tiny_training(**training)),
        "model": json.loads(json.dumps(dataclasses.asdict(TINY_MODEL))),
        "diffusion": {},
        "loader": {},
        "launch": {},
        "cluster": {},
        "tracking": {},
    }
    return Step("train", workdir, "run", sections, seed=3, key="0" * 64, workdir=workdir)


def test_three_stages_in_a_row(shards: Handle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handle = None
    for stage in (1, 2, 3):
        handle = train(a_step(tmp_path / str(stage)), shards, handle, stage=stage)
        assert handle.kind == "checkpoint"
        assert handle.meta["stage"] == stage
        assert handle.meta["steps"] == 6
        assert handle.meta["first_validation_loss"] != handle.meta["last_validation_loss"]
    printed = capsys.readouterr().out
    assert "stage 3 steps: 6 in" in printed
    assert "stage 3: validation loss" in printed


def test_a_stage_that_the_recipe_does_not_have_is_refused(shards: Handle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"begins with stage 3 .*; it has no stage 1"):
        train(a_step(tmp_path, first_stage=3), shards, stage=1)


def test_a_stage_on_two_launched_processes_is_the_same_stage(shards: Handle, tmp_path: Path) -> None:
    settings = {"engine": "deepspeed", "zero_stage": 1, "micro_batches_per_step": 2}
    one, two = (a_step(tmp_path / name, **settings) for name in ("one", "two"))
    for step in (one, two):
        step.sections["loader"] = {"run_length": 2}
    two.sections["launch"] = {"processes_per_node": 2}
    alone, together = train(one, shards, stage=1), train(two, shards, stage=1)
    assert together.meta["steps"] == 6
    assert together.meta["last_validation_loss"] == pytest.approx(alone.meta["last_validation_loss"], rel=1e-4)
    losses = [[row.loss for row in read_curves(handle.path / "curves.jsonl")] for handle in (alone, together)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


def test_a_stage_in_this_process_can_be_asked_how_it_stands(shards: Handle, tmp_path: Path) -> None:
    train(a_step(tmp_path), shards, stage=1)
    status = read_status(tmp_path)
    assert (status.state, status.step, status.steps, status.stage) == ("finished", 6, 6, 1)
    assert (tmp_path / "heartbeat").is_file()


def test_a_stage_in_this_process_is_mirrored_to_mlflow(
    shards: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored: list[tuple[Path, str]] = []

    @contextmanager
    def mirror(folder: Path, config: TrackingConfig, _log: object) -> Iterator[None]:
        mirrored.append((folder, config.uri))
        yield

    monkeypatch.setattr("nava.training.mlflow_mirror.mirrored", mirror)
    step = a_step(tmp_path)
    step.sections["tracking"] = {"uri": "http://host:5000"}
    train(step, shards, stage=1)
    assert mirrored == [(tmp_path, "http://host:5000")]


def test_what_a_library_raises_in_this_process_is_one_line(
    shards: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("nava.training.stage.create_engine", fail)
    with pytest.raises(NavaError, match=r"out of main memory: lower training.micro_batch_size"):
        train(a_step(tmp_path), shards, stage=1)
    assert read_status(tmp_path).state == "failed"
    assert "MemoryError" in (tmp_path / "error-rank0.txt").read_text()


def test_a_launched_stage_is_found_again_and_those_of_two_runs_are_told_apart(
    shards: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key of a step is the same in every run; what works in another folder is another job."""
    names: list[str] = []

    class Launcher:
        def run(self, command: TrainingCommand) -> None:
            names.append(job_name(command))
            raise LaunchStoppedError("stopped")

    monkeypatch.setattr("nava.launch.command.make_launcher", lambda *_: Launcher())
    for run in ("one", "one", "two"):
        step = a_step(tmp_path / run)
        step.sections["launch"] = {"target": "kubernetes"}
        with pytest.raises(LaunchStoppedError):
            train(step, shards, stage=1)
    first, again, other = names
    assert first == again != other


def test_a_launch_that_leaves_no_result_is_an_error(
    shards: Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Launcher:
        def run(self, command: TrainingCommand) -> None:
            pass

    monkeypatch.setattr("nava.launch.command.make_launcher", lambda *_: Launcher())
    step = a_step(tmp_path)
    step.sections["launch"] = {"target": "kubernetes"}
    with pytest.raises(InputError, match=r"is complete, but .*/result is not there"):
        train(step, shards, stage=1)


def test_the_result_is_a_function_of_seed_and_inputs(shards: Handle, tmp_path: Path) -> None:
    first, again, other = (
        train(dataclasses.replace(a_step(tmp_path / name), seed=seed), shards, stage=1)
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert first.sha256 == again.sha256 != other.sha256


def test_shards_give_what_memory_gives(shards: Handle) -> None:
    from nava.data.shards import LatentShards

    stored, memory = LatentShards(shards.path), LatentsInMemory()
    for ids in (["p003", "p001"], ["s002", "s001"]):
        here, there = stored.read(ids), memory.read(ids)
        assert (here.video_BCTHW is None) == (there.video_BCTHW is None)
        assert torch.equal(here.audio_BLC, there.audio_BLC)
        assert torch.equal(here.text_BND, there.text_BND)


@pytest.mark.parametrize("stage", [0, 4])
def test_there_are_three_stages(shards: Handle, tmp_path: Path, stage: int) -> None:
    with pytest.raises(InputError, match="stages 1, 2 and 3"):
        train(a_step(tmp_path), shards, stage=stage)


def test_the_stage_before_is_needed_from_stage_two_on_and_refused_for_the_first(shards: Handle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="stage 2 needs the checkpoint of stage 1"):
        train(a_step(tmp_path), shards, stage=2)
    with pytest.raises(InputError, match="stage 1 starts from a new model"):
        train(a_step(tmp_path), shards, Handle("checkpoint", str(tmp_path), "0" * 64), stage=1)


def test_handles_of_another_kind_are_refused(shards: Handle, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a handle of kind 'latent_shards'"):
        train(a_step(tmp_path), dataclasses.replace(shards, kind="clips"), stage=1)
    with pytest.raises(InputError, match="expected a handle of kind 'checkpoint'"):
        train(a_step(tmp_path), shards, shards, stage=2)


def test_the_module_of_the_step_is_light() -> None:
    code = "import sys; import nava.training.step; print(sorted({'torch', 'deepspeed'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], check=True, text=True, capture_output=True)
    assert found.stdout.strip() == "[]"
