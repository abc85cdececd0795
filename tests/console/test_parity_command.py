"""`nava model parity` from the outside."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from safetensors.torch import load_file

from nava.cli import main
from tests.evaluation.parity.own_set import rewrite, write_own_set

GOLDENS = Path(__file__).parents[1] / "data" / "goldens"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["model", "parity", *map(str, arguments)])


@pytest.fixture
def own_set(tmp_path: Path) -> Path:
    folder = tmp_path / "own"
    folder.mkdir()
    return write_own_set(folder)


def test_a_green_set_ends_on_its_summary_and_exit_code_0(own_set: Path) -> None:
    result = run(own_set)
    lines = result.output.splitlines()
    assert result.exit_code == 0, result.output
    assert lines[0].split() == ["case", "kind", "error", "tolerance", "verdict"]
    assert len(lines) == 1 + 9 + 1
    assert all(line.endswith("passed") for line in lines[1:-1])
    assert lines[-1].startswith("parity: 9 passed; ")


def test_a_red_case_says_which_tensor_and_ends_on_exit_code_1(own_set: Path) -> None:
    tensors = load_file(own_set / "x_joint.safetensors")
    tensors["out.audio.0"][0] += 1.0
    rewrite(own_set, "x_joint", tensors)
    result = run(own_set)
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("x_joint")]
    assert line.endswith("failed: 1 of 3 tensors differ, out.audio.0 most")
    assert result.output.splitlines()[-1].startswith("NO PARITY: 8 passed, 1 failed; ")


@pytest.mark.parametrize("what", ["missing", "unknown"])
def test_a_case_that_cannot_run_is_exit_code_1(own_set: Path, what: str) -> None:
    if what == "missing":
        (own_set / "x_rope.safetensors").unlink()
    else:
        rewrite(own_set, "x_rope", {"rope": load_file(own_set / "x_rope.safetensors")["aud.6.cos"]})
    result = run(own_set)
    assert result.exit_code == 1
    assert ("1 missing" if what == "missing" else "1 not run") in result.output.splitlines()[-1]


def test_the_machine_form(own_set: Path) -> None:
    result = run(own_set, "--json", "--case", "x_rope")
    value = json.loads(result.output)
    assert (result.exit_code, value["passed"]) == (0, True)
    assert value["counts"] == {"passed": 1, "failed": 0, "missing": 0, "not run": 0}
    (case,) = value["cases"]
    assert (case["case"], case["kind"], case["verdict"], case["reason"]) == ("x_rope", "rope", "passed", "")
    assert [tensor["name"] for tensor in case["tensors"]] == [
        "vid.2x3x2.cos",
        "vid.2x3x2.sin",
        "aud.6.cos",
        "aud.6.sin",
    ]
    assert all(tensor["error"] <= tensor["tolerance"] == 1e-5 for tensor in case["tensors"])


def test_the_machine_form_of_a_red_case_is_exit_code_1_too(own_set: Path) -> None:
    (own_set / "x_rope.safetensors").unlink()
    result = run(own_set, "--json", "--case", "x_rope")
    assert (result.exit_code, json.loads(result.output)["passed"]) == (1, False)


def test_cases_by_name_and_pattern() -> None:
    result = run(GOLDENS, "--case", "j0_guidance_formula", "--case", "h*")
    assert result.exit_code == 0
    assert [line.split()[0] for line in result.output.splitlines()[1:-1]] == ["h_rope", "j0_guidance_formula"]


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize("wrong", ["no folder", "no manifest", "no case"])
def test_wrong_input_is_one_line_and_exit_code_2(tmp_path: Path, wrong: str, as_json: bool) -> None:
    arguments = {
        "no folder": [tmp_path / "nowhere"],
        "no manifest": [tmp_path],
        "no case": [GOLDENS, "--case", "a_joint"],
    }[wrong]
    result = run(*arguments, *(["--json"] if as_json else []))
    assert result.exit_code == 2
    assert result.output.startswith("nava: ")
    assert result.output.count("\n") == 1


def test_damaged_manifests_are_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"config": ')
    result = run(tmp_path)
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert "is not JSON" in result.output
