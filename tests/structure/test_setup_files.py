"""The Makefile refuses an interpreter that cannot work, and images hold what they need and no secrets."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILES = sorted(ROOT.glob("components/*/Dockerfile"))


def make_setup(folder: Path, python: str) -> "subprocess.CompletedProcess[str]":
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, folder)
    command = ["make", "setup", f"PYTHON={python}"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def interpreter(path: Path, version: str) -> Path:
    """A script that answers as the interpreter of another version does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "Python {version}" && exit 0\nexit 1\n')
    path.chmod(0o755)
    return path


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_refuses_another_python_before_it_installs_anything(tmp_path: Path) -> None:
    done = make_setup(tmp_path, str(interpreter(tmp_path / "old" / "python3", "3.9.2")))
    assert done.returncode != 0
    assert "NAVA needs Python 3.11 or 3.12" in done.stderr
    assert "Python 3.9.2" in done.stderr
    assert "PYTHON=python3.11" in done.stderr
    assert not (tmp_path / ".venv").exists()


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_make_refuses_an_environment_of_another_python(tmp_path: Path) -> None:
    interpreter(tmp_path / ".venv" / "bin" / "python", "3.13.0")
    done = make_setup(tmp_path, "python3")
    assert done.returncode != 0
    assert ".venv/bin/python is: Python 3.13.0" in done.stderr


def test_there_are_images() -> None:
    assert len(DOCKERFILES) >= 14


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.parent.name)
def test_an_image_has_a_workspace_that_its_user_may_write(file: Path) -> None:
    lines = file.read_text().splitlines()
    assert lines.index("RUN mkdir /workspace && chown nava /workspace") < lines.index("USER 1000")
    assert "RUN useradd --uid 1000 --create-home nava" in lines


def test_the_build_context_has_no_keys_runs_or_media_and_all_that_is_copied() -> None:
    ignored = {line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")}
    assert {"**/.git", "**/keys", "**/*.key", ".venv", "runs", "data"} <= ignored
    copied = {
        name.removeprefix("./")
        for file in DOCKERFILES
        for line in re.findall(r"^COPY (.+) \S+$", file.read_text(), re.MULTILINE)
        for name in line.split()
    }
    assert {"nava", "deploy", "pyproject.toml"} <= copied
    assert not copied & ignored
