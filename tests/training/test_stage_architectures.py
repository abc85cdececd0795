"""A stage trains every architecture: the whole of it, in both engines, with masked and audio-only micro-batches."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nava.config.training import StageConfig
from nava.model.architecture import build_model
from nava.runtime.errors import InputError
from nava.training.curves import read_curves
from nava.training.stage import StageJob, load_averaged_model, run_stage
from tests.training.interrupted_stage import stage_job
from tests.training.latents_in_memory import TINY_MODEL

ARCHITECTURES = ["align_then_fuse", "dual_tower", "trimodal"]


def job_of(workdir: Path, architecture: str, engine: str = "plain", steps: int = 30) -> StageJob:
    job = stage_job(workdir, engine)
    stage = StageConfig(steps=steps, audio_only=1, audio_video=2, warmup_steps=2)
    model = replace(TINY_MODEL, architecture=architecture, num_trimodal_layers=2, num_tower_layers=1)
    training = replace(job.training, stage2=stage, learning_rate=3e-3, checkpoint_every_steps=20)
    return replace(job, model=model, training=training)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_stage_moves_every_weight(tmp_path: Path, architecture: str) -> None:
    job = job_of(tmp_path, architecture)
    result = run_stage(job)
    rows = read_curves(result / "curves.jsonl")
    assert sum(row.loss_video is None for row in rows) == 10
    assert all(0 < row.grad_norm < float("inf") for row in rows)
    start = build_model(job.model, seed=job.seed).state_dict()
    trained = load_file(result / "training_weights.safetensors")
    still = [name for name, value in start.items() if torch.equal(value, trained[name])]
    assert still == []


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_result_is_read_back_as_what_it_is(tmp_path: Path, architecture: str) -> None:
    job = job_of(tmp_path, architecture, steps=3)
    model = load_averaged_model(run_stage(job))
    assert type(model) is type(build_model(job.model, device="meta"))
    assert model.config.architecture == architecture
    assert not model.training


def test_deepspeed_trains_a_tower_as_the_plain_engine_does(tmp_path: Path) -> None:
    weights = [
        load_file(run_stage(job_of(tmp_path / engine, "dual_tower", engine, steps=4)) / "training_weights.safetensors")
        for engine in ("plain", "deepspeed")
    ]
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-4, atol=1e-6)


def test_the_stage_before_must_be_of_the_same_model_even_if_its_weights_would_fit(tmp_path: Path) -> None:
    job = job_of(tmp_path / "before", "align_then_fuse", steps=1)
    after = replace(job, stage=3, previous=run_stage(job), workdir=tmp_path / "after")
    with pytest.raises(
        InputError, match=r"result: its model has num_heads 2, the recipe's has 4; set model\.num_heads=2"
    ):
        run_stage(replace(after, model=replace(job.model, num_heads=4)))


def test_an_architecture_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"model\.architecture is 'unet'"):
        run_stage(job_of(tmp_path, "unet"))
