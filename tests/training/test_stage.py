"""A whole stage: what it leaves, and that being killed, stopped or damaged changes nothing of it."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nava.artifacts.checkpoint import verify
from nava.data.shards import LatentBatch
from nava.model.backbone import NavaTransformer
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_tree
from nava.training.curves import read_curves
from nava.training.stage import StageJob, load_averaged_model, run_stage
from nava.training.trainer import NonFiniteLossError
from tests.training.interrupted_stage import stage_job
from tests.training.latents_in_memory import TINY_MODEL, LatentsInMemory

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
    assert stopped.returncode == 1
    assert "asked to stop (SIGTERM): 3 of 6 steps are saved" in stopped.stdout
    assert checkpoints(tmp_path) == ["step-00000002", "step-00000003"]
    assert not (tmp_path / "result").exists()
    assert sha256_tree(run_stage(stage_job(tmp_path, "plain"))) == sha256_tree(straight)


@pytest.mark.parametrize("damaged", [["step-00000006"], ["step-00000006", "step-00000004"]])
def test_damaged_checkpoints_are_passed_over(
    straight: Path, tmp_path: Path, damaged: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(straight.parent, tmp_path, dirs_exist_ok=True)
    for name in damaged:
        path = tmp_path / "checkpoints" / name / "state-00000.safetensors"
        data = bytearray(path.read_bytes())
        data[-1] ^= 4
        path.write_bytes(data)
    assert sha256_tree(run_stage(stage_job(tmp_path, "plain"))) == sha256_tree(straight)
    printed = capsys.readouterr().out
    assert all(f"warning: checkpoint {name} is not used: file state-00000.safetensors" in printed for name in damaged)


def test_a_checkpoint_of_another_configuration_is_not_used(straight: Path, tmp_path: Path) -> None:
    shutil.copytree(straight.parent, tmp_path, dirs_exist_ok=True)
    job = stage_job(tmp_path, "plain")
    job = replace(job, training=replace(job.training, learning_rate=1e-3))
    assert sha256_tree(run_stage(job)) != sha256_tree(straight)
    assert read_curves(tmp_path / "result" / "curves.jsonl")[1].lr == pytest.approx(1e-3)


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
    with pytest.raises(NonFiniteLossError, match=r"stage 2, step \d: the loss is nan; clips of this step: .*p003"):
        run_stage(job)
    assert not (tmp_path / "result").exists()
    for name in checkpoints(tmp_path) if (tmp_path / "checkpoints").exists() else []:
        weights = load_file(tmp_path / "checkpoints" / name / "state-00000.safetensors")
        assert all(torch.isfinite(value).all() for value in weights.values())


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
