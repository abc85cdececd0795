"""A set of other sizes is green; whatever is wrong with it is red, and named."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file, save_file

from nava.cli import main
from nava.evaluation.parity.comparison import CaseResult, Verdict
from nava.evaluation.parity.families import FAMILIES, family_of
from nava.evaluation.parity.golden_set import GoldenSet
from nava.evaluation.parity.report import all_passed
from nava.evaluation.parity.runner import run_set
from nava.runtime.errors import InputError
from tests.evaluation.parity.own_set import rewrite


def results(folder: Path, *names: str) -> dict[str, CaseResult]:
    return {result.case: result for result in run_set(folder, names)}


def test_a_set_of_other_sizes_is_green_in_every_kind(own_set: Path) -> None:
    found = results(own_set)
    assert {name: (r.verdict, r.reason) for name, r in found.items() if r.verdict is not Verdict.PASSED} == {}
    assert {result.kind for result in found.values()} == {family.name for family in FAMILIES}


def corruptions() -> list[tuple[str, str]]:
    return [
        ("x_joint", "out.vid.0"),
        ("x_joint", "mid.context"),
        ("x_joint", "in.audio.0"),
        ("x_pair", "out.audio.1"),
        ("x_pair", "in.spk_embed"),
        ("x_bf16", "out.audio.0"),
        ("x_rope", "aud.6.sin"),
        ("x_samplers", "unipc.s4.n3.sigmas"),
        ("x_guidance", "aud.align_timbre"),
        ("x_run", "out.audio"),
        ("x_training", "grad.head.head.bias"),
        ("x_training", "out.loss"),
    ]


@pytest.mark.parametrize(("case", "tensor"), corruptions())
def test_one_changed_value_turns_its_case_red(own_set: Path, case: str, tensor: str) -> None:
    tensors = load_file(own_set / f"{case}.safetensors")
    values = tensors[tensor].flatten().clone()
    values[len(values) // 2] += 0.2 * values.abs().max() + 0.1
    rewrite(own_set, case, tensors | {tensor: values.view_as(tensors[tensor])})
    found = results(own_set, case)[case]
    assert found.verdict is Verdict.FAILED
    assert found.worst is not None
    assert found.worst.error > found.worst.tolerance
    assert not tensor.startswith(("out.", "grad.")) or tensor in [t.name for t in found.tensors if not t.within]


def test_one_timestep_off_by_one_is_red(own_set: Path) -> None:
    tensors = load_file(own_set / "x_run.safetensors")
    rewrite(own_set, "x_run", tensors | {"timesteps": tensors["timesteps"] - torch.tensor([0, 1, 0])})
    assert "timesteps" in results(own_set, "x_run")["x_run"].reason


def test_a_changed_weight_turns_the_cases_that_use_it_red(own_set: Path) -> None:
    tensors = load_file(own_set / "weights.safetensors")
    tensors["double_blocks.0.ffn.0.weight"][0] *= 1.5
    rewrite(own_set, "weights", tensors)
    found = results(own_set)
    red = {name for name, result in found.items() if result.verdict is Verdict.FAILED}
    assert {"x_joint", "x_pair", "x_run", "x_training"} <= red
    assert not red & {"x_rope", "x_samplers", "x_guidance"}


def test_a_file_that_differs_from_its_hash_is_red_even_if_the_numbers_would_pass(own_set: Path) -> None:
    path = own_set / "x_guidance.safetensors"
    save_file(load_file(path), path, metadata={"touched": "yes"})
    found = results(own_set)["x_guidance"]
    assert found.verdict is Verdict.FAILED
    assert "sha256" in found.reason


def test_without_hashes_and_listings_a_set_runs_all_the_same(own_set: Path) -> None:
    manifest = json.loads((own_set / "manifest.json").read_text())
    for entry in manifest["files"].values():
        entry.pop("sha256")
        entry.pop("tensors")
    (own_set / "manifest.json").write_text(json.dumps(manifest))
    assert {result.verdict for result in results(own_set).values()} == {Verdict.PASSED}


def test_missing_files_are_named(own_set: Path) -> None:
    (own_set / "x_rope.safetensors").unlink()
    found = results(own_set)
    assert found["x_rope"].verdict is Verdict.MISSING
    assert found["x_joint"].verdict is Verdict.PASSED


def test_missing_weights_are_red_for_every_case_that_needs_them(own_set: Path) -> None:
    (own_set / "weights.safetensors").unlink()
    found = results(own_set)
    assert found["weights.safetensors"].verdict is Verdict.MISSING
    assert found["x_joint"].reason == "the weights weights.safetensors are missing"
    assert found["x_guidance"].verdict is Verdict.PASSED


def test_a_file_cut_short_is_red(own_set: Path) -> None:
    path = own_set / "x_joint.safetensors"
    path.write_bytes(path.read_bytes()[:200])
    found = results(own_set)
    assert found["x_joint"].verdict is Verdict.FAILED
    assert found["x_pair"].verdict is Verdict.PASSED


def test_a_file_of_no_known_kind_is_not_run(own_set: Path) -> None:
    rewrite(own_set, "y_strange", {"something": torch.zeros(3)})
    found = results(own_set)["y_strange"]
    assert found.verdict is Verdict.NOT_RUN
    assert "no kind of case" in found.reason


def test_a_tensor_that_nothing_computes_is_not_passed_over(own_set: Path) -> None:
    tensors = load_file(own_set / "x_joint.safetensors")
    rewrite(own_set, "x_joint", tensors | {"mid.single_blocks.7.out": torch.zeros(1, 20, 48)})
    found = results(own_set)["x_joint"]
    assert found.verdict is Verdict.NOT_RUN
    assert found.reason == "not compared: mid.single_blocks.7.out"


def test_a_case_of_inputs_alone_is_not_run_and_no_success(own_set: Path) -> None:
    tensors = load_file(own_set / "x_run.safetensors")
    rewrite(own_set, "x_run", {name: tensor for name, tensor in tensors.items() if name.startswith("in.")})
    found = results(own_set)
    assert found["x_run"].verdict is Verdict.NOT_RUN
    assert found["x_run"].reason == "nothing to compare: the file holds inputs only"
    assert not all_passed(list(found.values()))
    command = CliRunner().invoke(main, ["model", "parity", str(own_set)])
    assert command.exit_code == 1
    assert command.output.splitlines()[-1].startswith("NO PARITY: 8 passed, 1 not run; ")


def test_weights_that_no_case_uses_are_not_run(own_set: Path) -> None:
    shutil.copy(own_set / "weights.safetensors", own_set / "z_weights.safetensors")
    manifest = json.loads((own_set / "manifest.json").read_text())
    manifest["files"]["z_weights.safetensors"] = manifest["files"]["weights.safetensors"]
    (own_set / "manifest.json").write_text(json.dumps(manifest))
    assert results(own_set)["z_weights.safetensors"].verdict is Verdict.NOT_RUN


def test_a_case_that_crashes_is_red_and_the_others_run(own_set: Path) -> None:
    tensors = load_file(own_set / "x_training.safetensors")
    rewrite(own_set, "x_training", tensors | {"in.t": torch.tensor([500.5, 123.4])})
    found = results(own_set)
    assert found["x_training"].verdict is Verdict.FAILED
    assert found["x_training"].reason.startswith("ValueError: the times")
    assert found["x_joint"].verdict is Verdict.PASSED


def test_settings_of_another_model_are_the_cases_reason(own_set: Path) -> None:
    manifest = json.loads((own_set / "manifest.json").read_text())
    manifest["config"]["qk_norm"] = False
    (own_set / "manifest.json").write_text(json.dumps(manifest))
    assert results(own_set)["x_joint"].reason.startswith("model setting qk_norm is False")


def test_cases_by_name_and_pattern(own_set: Path) -> None:
    assert list(results(own_set, "x_rope")) == ["x_rope"]
    assert list(results(own_set, "x_rope.safetensors")) == ["x_rope"]
    assert list(results(own_set, "x_r*", "x_guidance")) == ["x_rope", "x_guidance", "x_run"]
    with pytest.raises(InputError, match=r"no case 'x_ropes'.*there are x_joint, x_pair"):
        results(own_set, "x_ropes")


def test_a_manifest_without_cases_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"config": {}, "files": {}}')
    with pytest.raises(InputError, match="lists no cases"):
        results(tmp_path)


def test_kinds_do_not_overlap(own_set: Path) -> None:
    for case in GoldenSet(own_set).cases:
        assert [family.name for family in FAMILIES if family.recognise(case)] == [family_of(case).name]
