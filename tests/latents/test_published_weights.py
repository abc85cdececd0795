"""References to published weights, and modules filled with them."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from nava.artifacts.weight_files import WEIGHT_FILES
from nava.artifacts.weight_reference import WeightReference
from nava.latents.published_weights import (
    fill,
    find_weights,
    identity_of,
    open_safetensors,
    read_reference,
    require_same_tensors,
    resolve,
    write_reference,
)
from nava.runtime.errors import InputError

WEIGHT = WEIGHT_FILES["wan_video_vae"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights" / WEIGHT.file
    path.parent.mkdir()
    path.write_bytes(b"weights")
    return path


def test_a_reference_goes_there_and_back(file: Path, tmp_path: Path) -> None:
    reference = WeightReference.of(WEIGHT, file)
    key = identity_of("wan_video", {"dtype": "float32"}, reference)
    write_reference(tmp_path / "codec", "wan_video", {"dtype": "float32", "tiling": True}, reference, key)
    settings, read, identity = read_reference(tmp_path / "codec", "wan_video")
    assert (settings, read, identity) == ({"dtype": "float32", "tiling": True}, reference, key)
    assert resolve(WEIGHT, read, file.parent, None) == file
    with pytest.raises(InputError, match="describes a wan_video codec, expected ltx_audio"):
        read_reference(tmp_path / "codec", "ltx_audio")


def test_identities_differ_by_type_settings_and_weights(file: Path) -> None:
    reference = WeightReference.of(WEIGHT, file)
    file.write_bytes(b"others!")
    other = WeightReference.of(WEIGHT, file)
    keys = {
        identity_of("wan_video", {"dtype": "float32"}, reference),
        identity_of("wan_video", {"dtype": "bfloat16"}, reference),
        identity_of("ltx_audio", {"dtype": "float32"}, reference),
        identity_of("wan_video", {"dtype": "float32"}, other),
    }
    assert len(keys) == 4


def test_two_hashes_in_one_description_are_refused(file: Path, tmp_path: Path) -> None:
    write_reference(tmp_path, "wan_video", {}, WeightReference.of(WEIGHT, file), "0" * 64)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"weights_sha256": "1" * 64}))
    with pytest.raises(InputError, match="names two different hashes of its weights"):
        read_reference(tmp_path, "wan_video")


@pytest.mark.parametrize("location", [None, ""])
def test_no_location(file: Path, location: str | None) -> None:
    with pytest.raises(InputError, match="say where it is"):
        find_weights(WEIGHT, location or "")
    with pytest.raises(InputError, match="say where it is"):
        resolve(WEIGHT, WeightReference.of(WEIGHT, file), location, None)


def test_a_module_is_filled_without_memory_of_its_own() -> None:
    given = {"weight": torch.randn(3, 2), "bias": torch.randn(3)}
    made: list[torch.device] = []

    def build() -> nn.Module:
        module = nn.Linear(2, 3)
        made.append(module.weight.device)
        return module

    module = fill(build, given.items(), torch.float32, torch.device("cpu"))
    assert made == [torch.device("meta")]
    # No cast is needed, so the module holds the very tensors that it was given.
    assert module.weight.data_ptr() == given["weight"].data_ptr()
    assert not module.training
    assert not module.weight.requires_grad
    half = fill(build, given.items(), torch.bfloat16, torch.device("cpu"))
    assert torch.equal(half.bias, given["bias"].bfloat16())


def test_differences_are_named_as_published() -> None:
    path, names = Path("a.pth"), {"inner.weight": "residual.2.weight"}
    wanted = {"inner.weight": (2, 2), "other": (1,)}
    require_same_tensors(path, wanted, wanted, names)
    with pytest.raises(InputError, match=r"a\.pth: tensor 'residual\.2\.weight' has shape \[3\], expected \[2, 2\]"):
        require_same_tensors(path, wanted | {"inner.weight": (3,)}, wanted, names)
    with pytest.raises(InputError, match=r"a\.pth lacks tensor 'inner\.weight' and 1 more"):
        require_same_tensors(path, {}, wanted, {})
    with pytest.raises(InputError, match=r"a\.pth has an unknown tensor 'extra'"):
        require_same_tensors(path, wanted | {"extra": (1,)}, wanted, {})


def test_what_is_no_safetensors_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(InputError, match="is cut short or not a safetensors file"), open_safetensors(path):
        pass
