"""Adapters are added to the weights they were trained on and taken out again, from the command line."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result
from safetensors.torch import load_file, save_file

from nava.artifacts.checkpoint import CheckpointManifest, seal
from nava.cli import main
from nava.config.lora import LoraConfig
from nava.model.architecture import build_model
from nava.training.adapters import Adapter, add_adapters, weights_sha256
from tests.training.latents_in_memory import TINY_MODEL

LORA = LoraConfig(rank=2, alpha=6.0, targets=["q", "v"])


def result(folder: Path, weights: dict[str, torch.Tensor]) -> Path:
    folder.mkdir()
    save_file({name: value.contiguous() for name, value in weights.items()}, folder / "model.safetensors")
    (folder / "model_config.json").write_text(json.dumps(asdict(TINY_MODEL)))
    seal(folder, CheckpointManifest(3, 10, 80, "hash", {}))
    return folder


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    model = build_model(TINY_MODEL, seed=1)
    base = weights_sha256(model.state_dict())
    add_adapters(model, LORA, seed=5)
    trained = {name: torch.randn_like(value) for name, value in model.named_parameters() if value.requires_grad}
    Adapter.of_parameters(LORA, trained, base).write(tmp_path / "adapter")
    return tmp_path / "adapter"


def asked(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["train", "adapter", *map(str, arguments)])


def test_merging_and_taking_out_again_gives_the_weights_before(tmp_path: Path, adapter: Path) -> None:
    base = build_model(TINY_MODEL, seed=1).state_dict()
    assert asked("merge", adapter, result(tmp_path / "base", base), tmp_path / "merged.safetensors").exit_code == 0
    merged = load_file(tmp_path / "merged.safetensors")
    changed = {name for name, value in base.items() if not torch.equal(value, merged[name])}
    assert changed
    assert {name.split(".")[-2] for name in changed} == {"q", "v"}
    done = asked("unmerge", adapter, result(tmp_path / "again", merged), tmp_path / "before.safetensors")
    assert done.exit_code == 0
    assert done.output == f"{tmp_path / 'before.safetensors'}: {len(base)} tensors\n"
    for name, value in load_file(tmp_path / "before.safetensors").items():
        torch.testing.assert_close(value, base[name], rtol=1e-5, atol=1e-5)


def test_what_does_not_belong_together_is_refused_in_a_line(tmp_path: Path, adapter: Path) -> None:
    other = result(tmp_path / "other", build_model(TINY_MODEL, seed=2).state_dict())
    refused = asked("merge", adapter, other, tmp_path / "merged.safetensors")
    assert refused.exit_code == 2
    assert "the adapter was trained on weights with sha256" in refused.output
    bare = asked("merge", adapter, other / "model.safetensors", tmp_path / "merged.safetensors")
    assert bare.exit_code == 2
    assert "does not say what model it is of" in bare.output
    assert asked("merge", other, other, tmp_path / "merged.safetensors").exit_code == 2
    assert not (tmp_path / "merged.safetensors").exists()
