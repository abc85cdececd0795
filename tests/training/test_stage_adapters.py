"""A stage with adapters: what it starts from, what it trains, saves and leaves, and what goes on from it."""

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from nava.artifacts.checkpoint import seal, verify
from nava.config.lora import LoraConfig
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_tree
from nava.training.adapters import Adapter, weights_sha256
from nava.training.interruption import TrainingStoppedError
from nava.training.stage import StageJob, load_averaged_model, run_stage
from tests.training.stage_runs import job_of

LORA = LoraConfig(rank=2, alpha=4.0, targets=["q", "k", "v", "o", "q_audio", "v_audio"])
SIX_STEPS = {"engine": "plain", "checkpoint_every_steps": 2}


def job_in(workdir: Path, previous: Path | None, stop_at: int | None = None, **training: object) -> StageJob:
    workdir.mkdir(parents=True, exist_ok=True)
    job = job_of(workdir, SIX_STEPS | {"stage2": {"steps": 6}} | training, stop_at)
    return job if previous is None else replace(job, stage=3, previous=previous, inputs={"previous": previous.name})


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of a stage that trained all weights."""
    return run_stage(job_in(tmp_path_factory.mktemp("before"), None))


@pytest.fixture(scope="module")
def after(before: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The result of a stage that trained adapters on it."""
    return run_stage(job_in(tmp_path_factory.mktemp("after"), before, lora=asdict(LORA)))


def test_the_result_holds_the_adapter_alone_and_merged_into_the_model_of_the_stage_before(
    before: Path, after: Path
) -> None:
    assert {"adapter/adapter_model.safetensors", "adapter/adapter_config.json"} < set(verify(after).files)
    base, merged = (load_file(folder / "model.safetensors") for folder in (before, after))
    adapter = Adapter.read(after / "adapter")
    assert adapter.base_sha256 == weights_sha256(base)
    expected = adapter.merged(base)
    assert set(merged) == set(base)
    assert all(value.equal(expected[name]) for name, value in merged.items())
    changed = {name for name in base if not merged[name].equal(base[name])}
    assert changed == {f"{layer}.weight" for layer in adapter.layers}
    assert not load_averaged_model(after).training


def test_the_average_is_not_what_was_trained_last(after: Path) -> None:
    averaged, last = (load_file(after / f"{name}.safetensors") for name in ("model", "training_weights"))
    assert any(not averaged[name].equal(last[name]) for name in averaged)


def test_checkpoints_hold_adapters_only(after: Path) -> None:
    stored = load_file(after.parent / "checkpoints" / "step-00000006" / "state-00000.safetensors")
    assert {name.partition("/")[0] for name in stored} == {"weight", "average", "exp_avg", "exp_avg_sq"}
    assert all(".lora_" in name for name in stored)


def test_stopped_and_going_on_leaves_the_same(before: Path, after: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingStoppedError):
        run_stage(job_in(tmp_path, before, stop_at=3, lora=asdict(LORA)))
    assert sha256_tree(run_stage(job_in(tmp_path, before, lora=asdict(LORA)))) == sha256_tree(after)


def test_a_new_model_can_be_the_base(tmp_path: Path) -> None:
    result = run_stage(job_in(tmp_path, None, lora=asdict(LORA)))
    assert Adapter.read(result / "adapter").layers


def test_targets_that_no_layer_has_are_refused_before_training(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"training\.lora\.targets is \['query'\]"):
        run_stage(job_in(tmp_path, None, lora={"rank": 2, "targets": ["query"]}))
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(("rank", "file"), [(0, "training_weights.safetensors"), (2, "model.safetensors")])
def test_a_later_stage_goes_on_from_the_merged_weights(after: Path, tmp_path: Path, rank: int, file: str) -> None:
    """The stage after stage 3 does not exist: the result is taken for one of stage 2."""
    folder = tmp_path / "stage2"
    shutil.copytree(after, folder, ignore=shutil.ignore_patterns("manifest.json"))
    seal(folder, replace(verify(after), stage=2, files={}))
    # So low a rate that the weights stay what they were at the start.
    job = job_in(tmp_path / "stage3", folder, lora=asdict(LORA) | {"rank": rank}, learning_rate=1e-12)
    result = load_file(run_stage(job) / file)
    for name, value in load_file(after / file).items():
        torch.testing.assert_close(result[name], value, rtol=0, atol=1e-7)
