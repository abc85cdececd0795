"""The commands a page offers."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from nava.cli import run_pipeline
from nava.console import page_facts
from nava.console.recorded_run import RecordedRun
from nava.console.report import ending_lines
from nava.console.run_start import RunRequest, start_run
from nava.runtime.handle import Handle
from nava.runtime.storage import write_json
from nava.runtime.store import Store


def recorded(request: RunRequest) -> RecordedRun:
    reference = start_run(request)
    row = Store(reference.store_url).run(request.run_id)
    assert row is not None
    return RecordedRun(Path(reference.run_dir), row, [])


def parsed(command: str) -> dict[str, Any]:
    """What the command line makes of it."""
    program, *words = shlex.split(command)
    assert (program, words[:2]) == (".venv/bin/nava", ["pipeline", "run"])
    return run_pipeline.make_context("run", words[2:]).params


def test_run_again_asks_for_the_same_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "it's my media"
    monkeypatch.setattr(page_facts, "from_repository", str)
    request = RunRequest(
        "smoke", str(source), str(tmp_path), "mine", 7, "manual", ["training.threads=1", "source.origin='a b'"]
    )
    assert parsed(page_facts.run_again(recorded(request))) == {
        "name": "lifecycle",
        "recipe": "smoke",
        "source": str(source),
        "workspace": str(tmp_path),
        "run_name": "mine",
        "seed": 7,
        "policy": "manual",
        "overrides": ("training.threads=1", "source.origin='a b'"),
    }


def test_run_again_leaves_out_what_is_usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_facts, "from_repository", lambda path: path.name)
    command = page_facts.run_again(recorded(RunRequest(workspace=str(tmp_path / "runs"))))
    assert command == ".venv/bin/nava pipeline run lifecycle --recipe demo"


@pytest.mark.parametrize(("aliases", "served"), [(["champion"], True), (["candidate"], False), ([], False)])
def test_serving_is_offered_for_the_champion_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, aliases: list[str], served: bool
) -> None:
    run = recorded(RunRequest(workspace=str(tmp_path)))
    version = {"name": "nava", "version": 1, "aliases": aliases}
    monkeypatch.setattr(run, "handle", lambda step: Handle("model_package", str(tmp_path), "0" * 64))
    monkeypatch.setattr(run, "model_version", lambda: version)
    labels = [command.label for command in page_facts.commands(run)]
    assert ("Serve the champion" in labels) is served
    assert ("Ask it for a clip" in labels) is served
    assert "Versions and aliases" in labels
    summary = {"run": "demo", "state": "succeeded", "seconds": 1.0, "failure": None, "model_version": version}
    write_json(run.run_dir / "summary.json", summary)
    assert any("serve it" in line for line in ending_lines(run.run_dir)) is served
