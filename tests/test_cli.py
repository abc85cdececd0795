"""The command line: quick to start, and clear when it is asked for something that is not there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from nava.cli import main

HEAVY = {
    "torch",
    "numpy",
    "pandas",
    "pyarrow",
    "kfp",
    "mlflow",
    "hydra",
    "omegaconf",
    "sqlalchemy",
    "bentoml",
    "dvc",
    "rich",
}


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments))
    return result.exit_code, result.output


def test_help_imports_nothing_heavy() -> None:
    code = "import sys, nava.cli; print('\\n'.join(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "nava.cli" in loaded
    assert HEAVY & set(loaded) == set()


def test_help_names_the_commands() -> None:
    code, output = run("--help")
    assert code == 0
    for command in ("pipeline", "config", "registry", "serve"):
        assert command in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["pipeline", "run", "lifecycle", "--recipe", "dmo"], "unknown recipe 'dmo'"),
        (["pipeline", "run", "lifecycel"], "unknown pipeline 'lifecycel'"),
        (["pipeline", "run", "lifecycle", "training.stpes=3"], "unknown setting 'training.stpes'"),
        (["pipeline", "run", "lifecycle", "--source", "missing-folder"], "missing-folder"),
        (["pipeline", "run", "lifecycle", "--name", "../up"], "plain folder name"),
        (["registry", "list", "--run-dir", "missing"], "no run in missing"),
        (["serve", "--run-dir", "missing"], "no run in missing"),
    ],
)
def test_wrong_input_is_a_message_and_exit_code_2(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, output = run(*arguments)
    assert code == 2
    assert message in output
    assert "Traceback" not in output
    assert list(tmp_path.iterdir()) == [], "nothing half-written"


def test_a_folder_without_media_is_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = tmp_path / "source"
    source.mkdir()
    (source / "notes.mp4").write_text("not a video")
    code, output = run("pipeline", "run", "lifecycle", "--source", str(source))
    assert code == 2
    assert "Traceback" not in output
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_compile_writes_a_checked_pipeline(tmp_path: Path) -> None:
    code, output = run("pipeline", "compile", "lifecycle", "-o", str(tmp_path / "lifecycle.yaml"))
    assert code == 0, output
    assert "14 steps" in output
    assert (tmp_path / "lifecycle.yaml").stat().st_size > 10_000


def test_compile_for_production_wants_digests(tmp_path: Path) -> None:
    code, output = run("pipeline", "compile", "lifecycle", "-o", str(tmp_path / "p.yaml"), "--require-digests")
    assert code == 2
    assert "no digest for image" in output
    assert not (tmp_path / "p.yaml").exists()


def test_config_show_prints_the_resolved_configuration() -> None:
    code, output = run("config", "show", "--recipe", "demo", "training.threads=1")
    assert code == 0
    assert json.loads(output)["training"]["threads"] == 1
