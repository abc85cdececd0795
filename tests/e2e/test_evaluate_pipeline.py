"""The pipeline `evaluate` as a user runs it, at the size of seconds: what `nava eval run` gives, step by step."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from PIL import Image

from nava.cli import main
from nava.console.run_start import store_url
from nava.runtime.hashing import sha256_tree
from nava.runtime.store import StepRow, Store
from tests.evaluation.benchmark_items import tone
from tests.generation.voice_package import VoicePackage, write_voice_package

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).resolve().parents[2]
TASK = """
schema_version: 1
id: pocket
version: 1
edition: test
title: Pocket
layout: verse_bench
licence: none
citation: none
subsets: {set2: {items: 3, about: "weather"}}
metrics:
  - {metric: flicker}
  - {metric: silence_share}
  - {metric: identity.lite}
  - {metric: kl.passt}
  - {metric: sync_c.mova, only: [speech_text]}
"""
# A folder where a backend looks for weights, and finds none that fit.
BACKENDS = "passt: {weights: empty}\n"
ARMS = {"model": "", "untrained": "untrained", "shuffled": "shuffled"}
PROMPTS = ("It rains.", "Wind.", "<S>unfinished", "A bell.")


class Place:
    """A package, a benchmark of four items of which two are asked, and a run of the pipeline on them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package: VoicePackage = write_voice_package(root)
        (root / "pocket.yaml").write_text(TASK)
        (root / "backends.yaml").write_text(BACKENDS)
        (root / "empty").mkdir()
        (root / "empty" / "nothing.txt").write_text("no weights")
        folder = root / "data" / "set2"
        folder.mkdir(parents=True)
        for number, prompt in enumerate(PROMPTS):
            (folder / f"{number}.json").write_text(json.dumps({"video_prompt": prompt}))
            tone(folder / f"{number}.wav")
            Image.new("RGB", (48, 40), (200, 40 * number, 40)).save(folder / f"{number}.png")

    def run(self, *settings: str) -> int:
        given = {
            "task": self.root / "pocket.yaml",
            "data": self.root / "data",
            "backends": self.root / "backends.yaml",
            "package": self.root / "package",
            "public_key": self.package.key.public,
            "items": 3,
            "workers": 1,
            "clips": 1,
        }
        overrides = [f"benchmark.{name}={value}" for name, value in given.items()]
        command = [
            *(sys.executable, "-m", "nava.cli", "pipeline", "run", "evaluate", "--workspace", str(self.root / "runs")),
            *("--name", "tiny", "--seed", "5", *overrides, *settings),
        ]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode

    @property
    def run_dir(self) -> Path:
        return self.root / "runs" / "tiny"

    def summary(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self.run_dir / "evaluate.json").read_text())
        return value

    def steps(self) -> dict[str, StepRow]:
        return {step.name: step for step in Store(store_url(self.run_dir)).steps(self.summary()["run_id"])}

    def result(self, step: str) -> Path:
        handle = self.steps()[step].handle
        assert handle is not None
        return Path(handle["uri"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("evaluate"))
    assert made.run() == 3, "a third of the items were refused, and one backend has no weights"
    return made


def test_the_run_ends_on_the_gate_with_its_page_written(place: Place) -> None:
    steps = place.steps()
    assert list(steps) == [
        "plan_benchmark", "generate_outputs", "score_backends_embedded", "score_backends_passt",
        "aggregate_scores", "report_scores", "check_coverage",
    ]  # fmt: skip
    states = {name: step.state for name, step in steps.items()}
    assert states.pop("check_coverage") == "gate_failed"
    assert set(states.values()) == {"succeeded"}
    assert steps["aggregate_scores"].depends_on[:2] == ["score_backends_embedded", "score_backends_passt"]
    failure = place.summary()["failure"]
    assert failure["step"] == "check_coverage"
    assert "flicker[frames]" in failure["message"]
    (page,) = [link["href"] for link in place.summary()["pages"] if link["label"] == "page of report_scores"]
    assert "Pocket" in (place.run_dir / page).read_text()
    assert "benchmark: tiny" in (place.run_dir / "evaluate.html").read_text()


def test_rows_and_figures_are_those_of_the_command(place: Place, tmp_path: Path) -> None:
    arguments: list[Any] = [
        *("--task", place.root / "pocket.yaml", "--data", place.root / "data", "--out", tmp_path, "--items", 3),
        *("--package", place.root / "package", "--public-key", place.package.key.public, "--seed", 5, "--no-voices"),
        *("--baseline", "untrained", "--baseline", "shuffled", "--backends", place.root / "backends.yaml"),
        *("--workers", 1),
    ]
    found = CliRunner().invoke(main, ["eval", "run", *map(str, arguments)], catch_exceptions=False)
    assert found.exit_code == 1, found.output
    assert "too few: flicker[frames]" in found.output
    for arm, folder in ARMS.items():
        mine, theirs = tmp_path / folder / "result", place.result("aggregate_scores") / folder / "result"
        assert (mine / "rows.jsonl").read_text() == (theirs / "rows.jsonl").read_text(), arm
        assert sha256_tree(mine) == sha256_tree(theirs), arm


def test_figures_are_in_mlflow_and_in_kfps_own_artifacts(place: Place) -> None:
    from mlflow import MlflowClient

    handle = place.steps()["report_scores"].handle
    assert handle is not None
    client = MlflowClient(tracking_uri=f"sqlite:///{place.run_dir / 'mlflow.db'}")
    run = client.get_run(handle["meta"]["mlflow_run_id"])
    summary = json.loads((place.result("aggregate_scores") / "result" / "summary.json").read_text())
    flicker = next(figure for figure in summary["figures"] if figure["metric"] == "flicker")
    assert run.data.metrics["benchmark/model/flicker/frames"] == pytest.approx(flicker["value"])
    assert run.data.metrics["benchmark/model/flicker/frames_n"] == 2
    assert run.data.tags["nava.package_sha256"] == place.package.sha256
    assert run.data.params["benchmark.items"] == "3"
    assert run.info.status == "FINISHED"
    logged = {
        item.path for folder in ("result/result", "report") for item in client.list_artifacts(run.info.run_id, folder)
    }
    assert {"result/result/rows.jsonl", "report/index.html", "report/table.md", "report/table.tex"} <= logged
    (page,) = (place.run_dir / "kfp").rglob("report-scores/page")
    assert page.read_text() == (place.result("report_scores") / "index.html").read_text()
    said = (page.parent / "executor_output.json").read_text()
    assert '"benchmark/model/flicker/frames"' in said


# CI repeats a campaign in tests/evaluation/run/test_campaign.py, and a pipeline in test_life_cycle.py.
@pytest.mark.soak
def test_again_only_what_went_wrong_is_tried_again(place: Place) -> None:
    clips = {path: path.stat().st_mtime_ns for path in (place.run_dir / "benchmarks").rglob("*.mp4")}
    before = place.result("aggregate_scores")
    assert place.run("benchmark.allow_missing=true") == 0
    cached = {name: step.cached for name, step in place.steps().items()}
    assert cached["score_backends_passt"] is False, "its weights may be there by now"
    changed = {"score_backends_passt", "check_coverage"}
    # Settings are a section's: another one of it makes cheap steps run again, which find their work done.
    assert {path: path.stat().st_mtime_ns for path in clips} == clips
    assert sha256_tree(before) == sha256_tree(place.result("aggregate_scores"))
    assert changed <= {name for name, reused in cached.items() if not reused}
