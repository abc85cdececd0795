"""A whole stage: what it leaves, and that being killed, stopped or damaged changes nothing of it."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from nava.artifacts.checkpoint import verify
from nava.data.shards import LatentBatch
from nava.model.backbone import NavaTransformer
from nava.runtime.errors import EXIT_DIVERGED, EXIT_STOPPED, InputError
from nava.runtime.hashing import sha256_tree
from nava.training.curves import read_curves
from nava.training.interruption import TrainingStoppedError
from nava.training.run_folder import read_events, read_rows
from nava.training.stage import StageJob, load_averaged_model, run_stage
from nava.training.trainer import NonFiniteLossError
from tests.training.interrupted_stage import stage_job
from tests.training.latents_in_memory import TINY_MODEL, LatentsInMemory
from tests.training.stage_runs import run_in

REPOSITORY = Path(__file__).parents[2]


def in_a_process(workdir: Path, engine: str, *when: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.training.interrupted_stage", str(workdir), engine, *when]
    return subprocess.run(command, check=False, text=True, capture_output=True, cwd=REPOSITORY, timeout=120)


def checkpoints(workdir: Path) -> list[str]:
    return sorted(path.name for path in (workdir / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of the stage in one go, plain engine."""
    return run_stage(stage_job(tmp_path_factory.mktemp("straight"), "plain"))


def test_the_result_is_complete_and_sealed(straight: Path) -> None:
    manifest = verify(straight)
    assert (manifest.stage, manifest.step, manifest.samples) == (2, 6, 24)
    assert set(manifest.files) == {
        "model.safetensors",
        "training_weights.safetensors",
        "model_config.json",
        "curves.jsonl",
        "validation.json",
    }
    rows = read_curves(straight / "curves.jsonl")
    assert [(row.stage, row.step, row.samples) for row in rows] == [(2, step, 4 * step) for step in range(1, 7)]
    assert sum(row.loss_video is None for row in rows) == 2
    assert all(row.loss_audio is not None and row.grad_norm > 0 for row in rows)


def test_it_holds_averaged_weights_under_the_model_s_names(straight: Path) -> None:
    model = load_averaged_model(straight)
    assert not model.training
    training = load_file(straight / "training_weights.safetensors")
    start = NavaTransformer(TINY_MODEL, seed=9).state_dict()
    assert list(model.state_dict()) == list(start)
    for name in ("head.head.weight", "patch_embedding.weight", "time_projection.1.weight"):
        averaged = model.state_dict()[name]
        assert not averaged.equal(training[name])
        assert not averaged.equal(start[name])


def test_validation_has_first_and_last_for_every_task(straight: Path) -> None:
    validation = json.loads((straight / "validation.json").read_text())
    assert validation["split"] == {"av": "heldout", "audio": "heldout"}
    assert validation["micro_batches"] == {"audio_only": 1, "audio_video": 2}
    for when in ("first", "last"):
        assert set(validation[when]["tasks"]) == {"t2av_video", "t2av_audio", "t2a_audio"}
    assert validation["first"]["total"] != validation["last"]["total"]
    assert "synchrony" not in validation["last"]


def test_nothing_in_the_result_depends_on_time_or_place(straight: Path, tmp_path: Path) -> None:
    assert sha256_tree(run_stage(stage_job(tmp_path / "elsewhere", "plain"))) == sha256_tree(straight)


def test_its_lines_say_how_it_stands_and_how_long_it_will_take(tmp_path: Path) -> None:
    job, said = stage_job(tmp_path, "plain"), []
    run_stage(replace(job, training=replace(job.training, report_every_s=0.0), log=said.append))
    lines = [line for line in said if "steps/s" in line]
    assert [line.split(":")[0] for line in lines] == [f"stage 2, step {step} of 6" for step in range(1, 7)]
    assert all(re.search(r"learning rate \S+, [\d.]+ steps/s, .+ left$", line) for line in lines)
    assert lines[-1].endswith(" 0 ms left")


def test_how_often_it_is_saved_does_not_matter(straight: Path, tmp_path: Path) -> None:
    job = stage_job(tmp_path, "plain")
    job = replace(job, training=replace(job.training, checkpoint_every_steps=5, keep_checkpoints=1))
    assert sha256_tree(run_stage(job)) == sha256_tree(straight)
    assert checkpoints(tmp_path) == ["step-00000006"]


def test_killed_under_deepspeed_and_resumed_it_ends_bit_for_bit_the_same(tmp_path: Path) -> None:
    killed = in_a_process(tmp_path / "killed", "deepspeed", "SIGKILL", "4")
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    # The kill comes after step 4, before its checkpoint.
    assert checkpoints(tmp_path / "killed") == ["step-00000002"]
    resumed = in_a_process(tmp_path / "killed", "deepspeed")
    assert resumed.returncode == 0, resumed.stderr
    assert "goes on after step 2 of 6" in resumed.stdout
    uninterrupted = run_stage(stage_job(tmp_path / "straight", "deepspeed"))
    assert sha256_tree(tmp_path / "killed" / "result") == sha256_tree(uninterrupted)


def test_asked_to_stop_it_finishes_the_step_saves_and_says_so(straight: Path, tmp_path: Path) -> None:
    stopped = in_a_process(tmp_path, "plain", "SIGTERM", "3")
    assert stopped.returncode == EXIT_STOPPED
    assert "asked to stop (SIGTERM): 3 of 6 steps are saved" in stopped.stdout
    assert checkpoints(tmp_path) == ["step-00000002", "step-00000003"]
    assert not (tmp_path / "result").exists()
    assert sha256_tree(run_stage(stage_job(tmp_path, "plain"))) == sha256_tree(straight)


def damage(folder: Path, name: str) -> None:
    path = folder / "checkpoints" / name / "state-00000.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 4
    path.write_bytes(data)


def test_a_damaged_checkpoint_is_passed_over(
    straight: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(straight.parent, tmp_path, dirs_exist_ok=True)
    damage(tmp_path, "step-00000006")
    assert sha256_tree(run_stage(stage_job(tmp_path, "plain"))) == sha256_tree(straight)
    said = "checkpoint step-00000006 is not used: file state-00000.safetensors"
    printed = capsys.readouterr().out
    assert f"warning: {said}" in printed
    assert "goes on after step 4 of 6" in printed
    assert next(event["text"] for event in read_events(tmp_path) if event["event"] == "warning").startswith(said)


def test_where_no_checkpoint_is_whole_nothing_is_started_anew_unasked(straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight.parent, tmp_path, dirs_exist_ok=True)
    for name in ("step-00000004", "step-00000006"):
        damage(tmp_path, name)
    for _ in range(2):
        with pytest.raises(InputError, match=r"has 2 checkpoint\(s\) and none is whole"):
            run_stage(stage_job(tmp_path, "plain"))
    assert checkpoints(tmp_path) == ["step-00000004", "step-00000006"]
    shutil.rmtree(tmp_path / "checkpoints")
    assert sha256_tree(run_stage(stage_job(tmp_path, "plain"))) == sha256_tree(straight)


def test_a_checkpoint_of_another_configuration_is_neither_used_nor_thrown_away(straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight.parent, tmp_path, dirs_exist_ok=True)
    job = stage_job(tmp_path, "plain")
    job = replace(job, training=replace(job.training, learning_rate=1e-3))
    for _ in range(2):
        with pytest.raises(InputError, match=r"checkpoint step-00000006 .* was made with another configuration"):
            run_stage(job)
    assert checkpoints(tmp_path) == ["step-00000004", "step-00000006"]


def test_the_next_stage_starts_from_both_kinds_of_weights(straight: Path, tmp_path: Path) -> None:
    job = replace(stage_job(tmp_path, "plain"), stage=3, previous=straight)
    tiny_steps = replace(job.training.stage3, steps=1, warmup_steps=10**9)
    result = run_stage(replace(job, training=replace(job.training, stage3=tiny_steps, ema_decay=0.0)))
    seen = load_file(result / "training_weights.safetensors")
    for name, value in load_file(straight / "training_weights.safetensors").items():
        assert torch.allclose(seen[name], value, atol=1e-6)
    validation = json.loads((result / "validation.json").read_text())
    before = json.loads((straight / "validation.json").read_text())
    assert validation["first"]["tasks"] == before["last"]["tasks"]
    assert set(validation["last"]["synchrony"]) == {"0.2", "0.5", "0.8"}


class _NanClip(LatentsInMemory):
    """One clip whose latents are not numbers."""

    def read(self, ids: Sequence[str], **wanted: object) -> LatentBatch:
        batch = super().read(ids, **wanted)
        for row, clip in enumerate(ids):
            if clip == "p003":
                batch.audio_BLC[row, 0, 0] = float("nan")
        return batch


@pytest.mark.parametrize("engine", ["plain", "deepspeed"])
def test_a_loss_that_is_not_finite_stops_before_saving_and_names_the_clips(tmp_path: Path, engine: str) -> None:
    job: StageJob = replace(stage_job(tmp_path, engine), shards=_NanClip())
    with pytest.raises(NonFiniteLossError, match=r"stage 2, step \d: the loss is nan in process 0\. ") as failed:
        run_stage(job)
    assert failed.value.exit_code == EXIT_DIVERGED
    [event] = [event for event in read_events(tmp_path) if event["event"] == "not_finite"]
    # A micro-batch has four clips.
    assert len(event["clips"]) == 4
    assert "p003" in event["clips"]
    assert str(failed.value).endswith(f"clips: {', '.join(event['clips'])}, all in events.jsonl")
    assert not (tmp_path / "result").exists()
    for name in checkpoints(tmp_path) if (tmp_path / "checkpoints").exists() else []:
        weights = load_file(tmp_path / "checkpoints" / name / "state-00000.safetensors")
        assert all(torch.isfinite(value).all() for value in weights.values())


def test_a_gradient_that_is_not_finite_names_the_clips_of_all_processes(tmp_path: Path) -> None:
    done = run_in(2, tmp_path, [{"workdir": "run"}], "tests.training.diverging_runs")
    assert done.returncode != 0
    # One line of each process, unless torchrun ends one before it has said it.
    (line,) = {line for line in done.stderr.splitlines() if line.startswith("nava: ")}
    [event] = [event for event in read_events(tmp_path / "run") if event["event"] == "not_finite"]
    assert len(event["clips"]) == 8
    assert "p003" in event["clips"]
    assert [part["data_rank"] for part in event["micro_batches"]] == [0, 1]
    assert sorted(clip for part in event["micro_batches"] for clip in part["clips"]) == sorted(event["clips"])
    assert all(part["loss"] > 0 for part in event["micro_batches"])
    assert "the gradient's norm is" in line
    assert line.endswith(f"clips: {', '.join(event['clips'][:4])} and 4 more, all in events.jsonl (exit code 4)")
    assert len(line) < 400
    assert not [name for name in checkpoints(tmp_path / "run") if int(name[-8:]) >= event["step"]]


def test_a_loss_that_is_not_finite_in_one_process_is_the_end_that_all_tell(tmp_path: Path) -> None:
    done = run_in(2, tmp_path, [{"workdir": "run", "loss": True}], "tests.training.diverging_runs")
    assert done.returncode != 0
    # Whichever process comes first says it; torchrun may end the other before it has. None tells of lost neighbours.
    (line,) = {line for line in done.stderr.splitlines() if line.startswith("nava: ")}
    assert "the loss is nan in process" in line
    [event] = [event for event in read_events(tmp_path / "run") if event["event"] == "not_finite"]
    assert event["text"] in line
    assert len(event["clips"]) == 4
    assert "p003" in event["clips"]
    assert line.endswith(f"clips: {', '.join(event['clips'])}, all in events.jsonl (exit code 4)")
    assert not (tmp_path / "run" / "result").exists()


@pytest.mark.parametrize("checkpoint_every", [3, 2], ids=["a save is due", "no save is due"])
@pytest.mark.parametrize("during", ["validation", "samples"])
def test_told_to_stop_while_it_validates_or_samples_it_saves_and_takes_no_other_step(
    tmp_path: Path, during: str, checkpoint_every: int
) -> None:
    job = stage_job(tmp_path, "plain")
    every = {"validate_every_steps": 3, "sample_every_steps": 3 * (during == "samples")}
    training = replace(job.training, checkpoint_every_steps=checkpoint_every, checkpoint_async=True, **every)
    done, kill = [], lambda: os.kill(os.getpid(), signal.SIGTERM)

    def validation(_stage: object, synchrony: bool = False) -> dict[str, Any]:
        done.append("validation")
        # The first one is before the stage.
        if during == "validation" and len(done) == 2:
            kill()
        return {"total": 2.5, "tasks": {}}

    def samples(_stage: object, step: int) -> None:
        done.append("samples")
        kill()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("nava.training.stage._Stage.validation", validation)
        patch.setattr("nava.training.stage._Stage.samples", samples)
        with pytest.raises(TrainingStoppedError, match="3 of 6 steps are saved"):
            run_stage(replace(job, training=training))
    assert done == ["validation", "validation"] + ["samples"] * (during == "samples")
    assert checkpoints(tmp_path)[-1] == "step-00000003"
    assert verify(tmp_path / "checkpoints" / "step-00000003").validation_loss == 2.5
    assert [row["step"] for row in read_rows(tmp_path / "metrics.jsonl")] == [1, 2, 3]


def test_a_damaged_or_wrong_stage_before_is_refused(straight: Path, tmp_path: Path) -> None:
    before = shutil.copytree(straight, tmp_path / "before")
    job = replace(stage_job(tmp_path / "after", "plain"), stage=3, previous=before)
    with pytest.raises(InputError, match="is of stage 2"):
        run_stage(replace(job, stage=2))
    (before / "model.safetensors").write_bytes(b"")
    with pytest.raises(InputError, match=r"model.safetensors has 0 bytes .*; remove it and run again"):
        run_stage(job)
    assert not (tmp_path / "after").exists()


@pytest.mark.parametrize(("paired", "audio_only", "word"), [(0, 6, "audio-video clips"), (6, 0, "audio clips")])
def test_a_corpus_without_a_modality_is_refused_at_once(
    tmp_path: Path, paired: int, audio_only: int, word: str
) -> None:
    job = stage_job(tmp_path / "new", "plain")
    job = replace(job, training=replace(job.training, soundtracks_as_audio=False))
    with pytest.raises(InputError, match=f"stage 2 trains on {word}, but the training split has none"):
        run_stage(replace(job, shards=LatentsInMemory(paired, audio_only)))
    assert not (tmp_path / "new").exists()


def test_times_are_kept_beside_the_result(straight: Path) -> None:
    timing = json.loads((straight.parent / "timing.json").read_text())
    assert (timing["first_step"], timing["steps"]) == (1, 6)
    assert timing["seconds"] >= 0


def test_a_wrong_setting_stops_before_anything_is_written(tmp_path: Path) -> None:
    job = stage_job(tmp_path / "new", "plain")
    with pytest.raises(InputError, match=r"training.threads is 0"):
        run_stage(replace(job, training=replace(job.training, threads=0)))
    with pytest.raises(InputError, match=r"training.engine is 'ddp'"):
        run_stage(replace(job, training=replace(job.training, engine="ddp")))
    assert not (tmp_path / "new").exists()
