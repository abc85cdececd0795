"""Runs the life cycle as a user does: the command line, in a process of its own, on real files."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nava.runtime.store import Store

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Ending:
    """How a run ended: exit code, output, and its summary if it wrote one."""

    code: int
    output: str
    summary: dict[str, Any]

    def states(self) -> dict[str, str]:
        return {step["name"]: step["state"] for step in self.summary["steps"]}

    def executed(self) -> list[str]:
        """Steps that did their work in this run, rather than find it done."""
        return [step["name"] for step in self.summary["steps"] if step["state"] == "succeeded" and not step["cached"]]

    def keys(self) -> dict[str, str]:
        return {step["name"]: step["key"] for step in self.summary["steps"]}


def command(workspace: Path, *arguments: str, recipe: str = "smoke") -> list[str]:
    return [
        *(sys.executable, "-m", "nava.cli", "pipeline", "run", "lifecycle"),
        *("--recipe", recipe, "--workspace", str(workspace), *arguments),
    ]


def start(workspace: Path, *arguments: str, recipe: str = "smoke") -> "subprocess.Popen[str]":
    """Start a run in a process group of its own, so that it can be killed whole."""
    return subprocess.Popen(
        command(workspace, *arguments, recipe=recipe),
        cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run(workspace: Path, *arguments: str, recipe: str = "smoke") -> Ending:
    process = start(workspace, *arguments, recipe=recipe)
    output, _ = process.communicate()
    path = workspace / recipe / "summary.json"
    summary = json.loads(path.read_text()) if path.is_file() else {}
    return Ending(process.returncode, output, summary)


def kill(process: "subprocess.Popen[str]") -> None:
    """Kill -9 the whole process group of a run."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def checkpoint_hash(workspace: Path, ending: Ending) -> str:
    """Content hash of the stage 3 checkpoint of a run with the smoke recipe."""
    store = Store(f"sqlite:///{workspace / 'smoke' / 'store.db'}")
    row = next(row for row in store.steps(ending.summary["run_id"]) if row.name == "train_stage3")
    assert row.handle is not None
    sha256: str = row.handle["sha256"]
    return sha256
