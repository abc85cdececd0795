"""Weights to start from: results and files, the released names, and what is refused."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nava.artifacts.checkpoint import CheckpointManifest, seal
from nava.model.architecture import build_model
from nava.model.keys import RELEASED_PREFIX
from nava.runtime.errors import InputError
from nava.training.start import init_sha256, start_weights
from tests.training.latents_in_memory import TINY_MODEL


def weights(seed: int = 3) -> dict[str, torch.Tensor]:
    return {name: value.contiguous() for name, value in build_model(TINY_MODEL, seed=seed).state_dict().items()}


def result(folder: Path) -> Path:
    folder.mkdir()
    save_file(weights(), folder / "model.safetensors")
    (folder / "model_config.json").write_text(json.dumps(asdict(TINY_MODEL)))
    seal(folder, CheckpointManifest(3, 10, 80, "hash", {}))
    return folder


def started(place: Path) -> dict[str, torch.Tensor]:
    model = build_model(TINY_MODEL, seed=0)
    start_weights(place, model, TINY_MODEL)
    assert all(parameter.requires_grad for parameter in model.parameters())
    return model.state_dict()


def assert_same(found: dict[str, torch.Tensor]) -> None:
    for name, value in weights().items():
        assert torch.equal(found[name], value), name


def test_a_results_averaged_weights(tmp_path: Path) -> None:
    assert_same(started(result(tmp_path / "result")))


def test_a_file_with_the_released_prefix_in_bf16_is_widened(tmp_path: Path) -> None:
    prefixed = {f"{RELEASED_PREFIX}{name}": value.bfloat16() for name, value in weights().items()}
    save_file(prefixed, tmp_path / "NAVA.safetensors")
    found = started(tmp_path / "NAVA.safetensors")
    assert all(value.dtype == torch.float32 for value in found.values())


def test_a_result_that_changed_is_refused(tmp_path: Path) -> None:
    folder = result(tmp_path / "result")
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(2000)
        file.write(b"\xff")
    with pytest.raises(InputError, match="the result is damaged"):
        started(folder)


def test_another_architecture_is_named_by_its_setting(tmp_path: Path) -> None:
    model = build_model(TINY_MODEL, seed=0)
    with pytest.raises(InputError, match=r"set model\.eps=1e-06"):
        start_weights(result(tmp_path / "result"), model, replace(TINY_MODEL, eps=1e-3))


def test_how_a_new_model_would_be_drawn_does_not_matter(tmp_path: Path) -> None:
    model = build_model(TINY_MODEL, seed=0)
    start_weights(result(tmp_path / "result"), model, replace(TINY_MODEL, temporal_bias=1.0))
    assert_same(model.state_dict())


def test_the_hash_follows_the_weights(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        save_file(weights(seed), tmp_path / f"{name}.safetensors")
    a, b, c = (init_sha256(tmp_path / f"{name}.safetensors") for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_nothing_to_start_from_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="--init"):
        init_sha256(tmp_path / name)
