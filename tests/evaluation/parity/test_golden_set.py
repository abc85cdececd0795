import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from nava.evaluation.parity.golden_set import DamagedFileError, GoldenSet
from nava.runtime.errors import InputError
from tests.evaluation.parity.own_set import entry, own_model, rewrite


def test_cases_and_weights_are_told_apart(own_set: Path) -> None:
    goldens = GoldenSet(own_set)
    assert goldens.weight_files == ["weights.safetensors"]
    assert [case.name for case in goldens.cases][:3] == ["x_joint", "x_pair", "x_bf16"]
    assert goldens.case("x_joint").name == "x_joint"
    with pytest.raises(InputError, match="no case 'y'"):
        goldens.case("y")


def test_tensors_come_in_the_manifest_s_order(own_set: Path) -> None:
    case = GoldenSet(own_set).case("x_rope")
    assert list(case.tensors) == ["vid.2x3x2.cos", "vid.2x3x2.sin", "aud.6.cos", "aud.6.sin"]
    assert len(GoldenSet(own_set).case("x_pair").samples("in.vid")) == 2


def test_the_model_is_shared_by_the_cases_of_the_same_weights(own_set: Path) -> None:
    goldens = GoldenSet(own_set)
    model = goldens.model(goldens.case("x_joint"))
    assert goldens.model(goldens.case("x_run")) is model
    for name, value in own_model().state_dict().items():
        assert model.state_dict()[name].equal(value)


def test_names_with_the_wrapper_s_prefix_load_too(own_set: Path) -> None:
    tensors = {f"backbone.{name}": value for name, value in load_file(own_set / "weights.safetensors").items()}
    rewrite(own_set, "weights", tensors)
    goldens = GoldenSet(own_set)
    assert goldens.model(goldens.case("x_joint")).config.dim == 48


def test_a_case_may_have_weights_and_settings_of_its_own(own_set: Path) -> None:
    from dataclasses import replace

    from nava.model.backbone import NavaTransformer
    from tests.evaluation.parity.own_set import CONFIG

    variant = NavaTransformer(replace(CONFIG, num_ufl_layers=0, split_norm_ffn=True), seed=1)
    path = own_set / "x_joint_weights.safetensors"
    save_file(dict(variant.state_dict()), path)
    manifest = json.loads((own_set / "manifest.json").read_text())
    override = {"num_single_layers": 0, "num_layers": 1, "no_split_norm_ffn": False}
    manifest["files"][path.name] = entry(path, dict(variant.state_dict()), {"config_override": override})
    (own_set / "manifest.json").write_text(json.dumps(manifest))
    goldens = GoldenSet(own_set)
    assert goldens.weights_of("x_joint") == path.name
    assert goldens.model(goldens.case("x_joint")).config.split_norm_ffn
    assert not goldens.model(goldens.case("x_pair")).config.split_norm_ffn


def test_weights_of_another_shape_are_refused_in_one_line(own_set: Path) -> None:
    tensors = load_file(own_set / "weights.safetensors")
    tensors["head.head.bias"] = torch.zeros(3)
    rewrite(own_set, "weights", tensors)
    goldens = GoldenSet(own_set)
    with pytest.raises(InputError, match=r"head\.head\.bias") as caught:
        goldens.model(goldens.case("x_joint"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("extra", [True, False])
def test_files_that_hold_other_tensors_than_listed(own_set: Path, extra: bool) -> None:
    path = own_set / "x_joint.safetensors"
    tensors = load_file(path)
    if extra:
        tensors["out.more"] = torch.zeros(1)
    else:
        del tensors["out.vid.0"]
    save_file(tensors, path)
    with pytest.raises(DamagedFileError, match=r"out.more is not in the manifest" if extra else r"out.vid.0 is not in"):
        _ = GoldenSet(own_set).case("x_joint").tensors


def test_a_listed_shape_is_held(own_set: Path) -> None:
    path = own_set / "x_joint.safetensors"
    save_file(load_file(path) | {"in.t": torch.zeros(2)}, path)
    with pytest.raises(DamagedFileError, match=r"in.t is \[2\]"):
        _ = GoldenSet(own_set).case("x_joint").tensors


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "no object 'config'"),
        ('{"config": {}}', "no object 'files'"),
        ('{"config": {}, "files": {"../x.safetensors": {}}}', "files lie in the folder itself"),
        ('{"config": {}, "files": {"/etc/passwd": {}}}', "files lie in the folder itself"),
        ('{"config": {}, "files": {"x.safetensors": 3}}', "is not an object"),
    ],
)
def test_what_is_not_a_manifest_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(InputError, match=message):
        GoldenSet(tmp_path)


def test_no_folder_and_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        GoldenSet(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"no manifest\.json"):
        GoldenSet(tmp_path)
