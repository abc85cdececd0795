"""The whole life cycle at its smallest size, through the command line: what it makes, reuses and repeats."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest

from nava.console.pipeline_ir import compile_pipeline, planned_steps
from tests.e2e.life_cycle import ROOT, Ending, run
from tests.e2e.visit import Visit, play

pytestmark = pytest.mark.e2e
BEFORE_TRAINING = [
    "nava.data.sources.step",
    "nava.data.curation.step",
    "nava.data.validation.step",
    "nava.data.corpus.step",
    "nava.data.encoding",
]
WITH_THE_MODEL = ["nava.training.step", "nava.evaluation.step"]
DIGESTS = """
import json, sys
import nava
from nava.runtime.code_digest import code_digest
print(json.dumps({"nava": nava.__file__} | {module: code_digest(module) for module in sys.argv[1:]}))
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def first(workspace: Path) -> Ending:
    return run(workspace)


@pytest.fixture(scope="module")
def second(workspace: Path, first: Ending) -> Ending:
    assert first.code == 0, first.output
    return run(workspace)


def test_every_step_succeeds(first: Ending, tmp_path: Path) -> None:
    assert first.code == 0, first.output
    assert first.summary["state"] == "succeeded"
    planned = planned_steps(compile_pipeline("lifecycle", tmp_path / "ir.yaml"))
    assert first.states() == dict.fromkeys(planned, "succeeded")
    assert first.executed() == list(planned)


def test_the_summary_accounts_for_every_record(first: Ending) -> None:
    counts = first.summary["records"]
    assert counts["total"] == counts["kept"] + counts["dropped"] + counts["failed"] + counts["quarantined"]
    assert counts["kept"] > 0
    assert sum(first.summary["dropped"].values()) == counts["total"] - counts["kept"]
    assert {"not_media", "undecodable", "no_audio_track", "silent"} & set(first.summary["dropped"])


def test_validation_loss_is_reported_for_every_stage(first: Ending) -> None:
    stages = {stage["name"]: stage for stage in first.summary["stages"]}
    assert list(stages) == ["stage1", "stage2", "stage3"]
    for stage in stages.values():
        assert stage["last_validation_loss"] < stage["first_validation_loss"]


def test_generated_clips_are_real_media(first: Ending) -> None:
    assert first.summary["clips"]
    for name in first.summary["clips"]:
        with av.open(str((ROOT / name).resolve())) as container:
            assert sum(1 for _ in container.decode(video=0)) == 49
        with av.open(str((ROOT / name).resolve())) as container:
            assert sum(frame.samples for frame in container.decode(audio=0)) >= 32_000


def test_the_model_is_registered_and_champion(first: Ending) -> None:
    version = first.summary["model_version"]
    assert version["version"] == "1"
    assert "champion" in version["aliases"]
    assert len(version["package_sha256"]) == 64


def test_everything_lies_under_the_run(first: Ending, workspace: Path) -> None:
    run_dir = workspace / "smoke"
    assert [path.name for path in workspace.iterdir()] == ["smoke"]
    assert list((run_dir / "shards").rglob("*.safetensors"))
    assert (run_dir / "corpus" / ".git").is_dir()
    page = (run_dir / "index.html").read_text()
    assert "data:video/mp4" in page


def test_the_page_opens_and_its_clips_play(first: Ending, workspace: Path, browser: Any) -> None:
    page = workspace / "smoke" / "index.html"
    with Visit(browser, page) as visit:
        videos = visit.page.locator("video")
        assert videos.count() >= len(first.summary["clips"])
        for index in range(videos.count()):
            state = play(visit.page, index)
            assert state["error"] == ""
            assert state["width"] > 0
            assert state["sound"] > 0
        assert visit.complaints == []
        assert [url for url in visit.requests if not url.startswith(("file://", "data:"))] == []


def test_a_second_run_reuses_everything(first: Ending, second: Ending) -> None:
    assert second.code == 0, second.output
    assert second.executed() == []
    assert second.summary["model_version"]["version"] == first.summary["model_version"]["version"]


def test_a_changed_training_setting_repeats_only_what_depends_on_it(workspace: Path, second: Ending) -> None:
    # No clip count is enough for its gate, which stops the run there: what comes after a gate is not this test's.
    changed = run(workspace, "training.stage3.steps=9", "promotion.min_n=1000")
    assert changed.code == 3, changed.output
    assert changed.states()["gate"] == "gate_failed"
    untouched = ["ingest", "curate", "validate", "version", "encode"]
    assert not set(untouched) & set(changed.executed())
    assert "train_stage3" in changed.executed()
    keys, before = changed.keys(), second.keys()
    assert all(keys[name] == before[name] for name in untouched)
    assert keys["train_stage3"] != before["train_stage3"]


def step_digests(root: Path) -> dict[str, str]:
    """The code digests that the steps of the package under `root` would have, from a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(root)}
    command = [sys.executable, "-c", DIGESTS, *BEFORE_TRAINING, *WITH_THE_MODEL]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
    digests: dict[str, str] = json.loads(done.stdout)
    assert Path(digests.pop("nava")).is_relative_to(root), "not the package under test was imported"
    return digests


def test_an_edited_model_file_changes_the_code_digest_of_training_and_not_of_curation(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "nava", tmp_path / "nava", ignore=shutil.ignore_patterns("__pycache__"))
    before = step_digests(tmp_path)
    assert before == step_digests(ROOT), "the digest depends on the place"
    with (tmp_path / "nava" / "model" / "rope.py").open("a") as file:
        file.write("# edited\n")
    after = step_digests(tmp_path)
    assert [module for module in before if before[module] != after[module]] == WITH_THE_MODEL


def test_the_root_fixture_is_not_touched_by_a_run(second: Ending) -> None:
    assert "data.dvc" in {path.name for path in ROOT.iterdir()}
    assert "md5" in (ROOT / "data.dvc").read_text()


def test_the_run_record_says_what_it_was_made_from(first: Ending, workspace: Path) -> None:
    records = sorted((workspace / "smoke" / "steps" / "register").glob("*/run_record.json"))
    assert records
    record = json.loads(records[0].read_text())
    assert len(record["data_sha256"]) == 64
    assert record["seed"] == 0
    assert record["libraries"]["torch"].startswith("2.13")
