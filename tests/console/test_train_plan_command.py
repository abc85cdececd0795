"""`nava train plan`, through click."""

import json
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result

from nava.cli import NavaGroup
from nava.console.train_plan_command import plan

GROUP = NavaGroup("train", commands={"plan": plan})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(GROUP, ["plan", *arguments])


def test_the_plan_of_a_recipe() -> None:
    result = run("--recipe", "lora")
    assert result.exit_code == 0
    assert result.output.startswith("recipe lora on 1 x 1 H100\n")


def test_overrides_reach_the_plan() -> None:
    result = run("--recipe", "paper", "--json", "cluster.nodes=32", "training.zero_stage=3")
    assert result.exit_code == 0
    found = json.loads(result.output)
    assert found["cluster"]["nodes"] == 32
    assert found["memory_bytes"]["parts"]["gathered weights"] > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--recipe", "papr"], "nava: unknown recipe 'papr'"),
        (["cluster.node=2"], "nava: unknown setting 'cluster.node'; did you mean cluster.nodes"),
        (["cluster.assumed_mfu=0"], "nava: cluster.assumed_mfu is 0.0; it must be above 0 and at most 1"),
        (
            ["--recipe", "paper", "training.activation_checkpointing=false"],
            "nava: recipe 'paper' does not fit: ",
        ),
    ],
)
def test_a_refusal_is_one_line_and_exit_code_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_the_command_imports_nothing_heavy_before_it_runs() -> None:
    code = "import sys, nava.console.train_plan_command; sys.exit('torch' in sys.modules or 'hydra' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
