"""A run on a folder as users have them: its wrong input, kill -9 of its whole process group, its gates."""

import shutil
import time
from pathlib import Path

import pytest

from nava.artifacts.clip_manifest import kept_rows
from tests.e2e.life_cycle import Ending, checkpoint_hash, kill, run, start
from tests.e2e.user_folder import fill_user_folder

pytestmark = pytest.mark.e2e
# Stage 2 is made long enough to be killed in its middle, the rest as short as it can be.
SETTINGS = (
    "training.stage1.steps=4",
    "training.stage2.steps=40",
    "training.stage3.steps=4",
    "training.checkpoint_every_steps=5",
)
BEFORE = ["ingest", "curate", "validate", "version", "encode", "train_stage1"]


@pytest.fixture(scope="module")
def user_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("user")
    fill_user_folder(folder, tmp_path_factory.mktemp("generated"))
    return folder


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


def kill_in_stage_2(workspace: Path, *arguments: str) -> None:
    """Start the run and kill its process group once stage 2 has written a checkpoint."""
    process = start(workspace, *arguments)
    pattern = "smoke/steps/train_stage2/*/checkpoints/*/manifest.json"
    while process.poll() is None and not list(workspace.glob(pattern)):
        time.sleep(0.05)
    assert process.poll() is None, "the run ended before it could be killed"
    kill(process)
    assert not list(workspace.glob("smoke/steps/train_stage2/*/result.json")), "stage 2 was over before the kill"


@pytest.fixture(scope="module")
def resumed(workspace: Path, user_folder: Path) -> Ending:
    """The run of the folder, killed in stage 2 and started again with the same command."""
    arguments = ("--source", str(user_folder), *SETTINGS)
    kill_in_stage_2(workspace, *arguments)
    return run(workspace, *arguments)


def test_a_folder_with_broken_files_runs_to_its_end(resumed: Ending) -> None:
    assert resumed.code in (0, 3), resumed.output
    states = resumed.states()
    assert all(states[name] == "succeeded" for name in ("ingest", "curate", "validate", "train_stage3", "evaluate"))


def test_each_broken_file_is_listed_with_its_reason(resumed: Ending) -> None:
    dropped = resumed.summary["dropped"]
    for reason in ("undecodable", "no_audio_track", "too_quiet", "static_picture"):
        assert dropped.get(reason, 0) >= 1, dropped


def test_finished_steps_are_not_repeated(resumed: Ending) -> None:
    assert not set(BEFORE) & set(resumed.executed())
    assert "train_stage2" in resumed.executed()


def test_training_goes_on_from_its_last_complete_checkpoint(resumed: Ending, workspace: Path) -> None:
    log = workspace / "smoke" / "logs" / resumed.summary["run_id"] / "train_stage2.log"
    assert "stage 2: goes on after step" in log.read_text()


def test_the_killed_run_is_recorded_as_interrupted(resumed: Ending, workspace: Path) -> None:
    from sqlalchemy import select

    from nava.runtime.store import RunRow, Store

    with Store(f"sqlite:///{workspace / 'smoke' / 'store.db'}").session() as session:
        states = {run.state for run in session.scalars(select(RunRow))}
    assert "interrupted" in states


# CI holds killed training against undisturbed in tests/training/test_kills.py; two whole life cycles are the soak's.
@pytest.mark.soak
def test_the_result_is_the_same_as_without_the_kill(
    resumed: Ending, workspace: Path, user_folder: Path, tmp_path: Path
) -> None:
    undisturbed = run(tmp_path, "--source", str(user_folder), *SETTINGS)
    assert undisturbed.code in (0, 3), undisturbed.output
    assert checkpoint_hash(workspace, resumed) == checkpoint_hash(tmp_path, undisturbed)


def refused(workspace: Path, folder: Path, rule: str) -> tuple[str, str]:
    """What a run says that the data gate refuses, and its page."""
    ending = run(workspace, "--source", str(folder), *SETTINGS, rule)
    assert ending.code == 3, ending.output
    assert ending.summary["state"] == "gate_failed"
    assert ending.executed() == [], "curation was repeated"
    states = ending.states()
    assert states["validate"] == "gate_failed"
    assert all(states[name] == "pending" for name in ("version", "encode", "train_stage1", "promote"))
    return ending.summary["failure"]["message"], (workspace / "smoke" / "index.html").read_text()


def test_a_gate_that_fails_stops_the_run_before_training(resumed: Ending, workspace: Path, user_folder: Path) -> None:
    message, page = refused(workspace, user_folder, "validation.min_kept_clips=100000")
    assert "100000" in message
    assert "100000" in page


def test_a_gate_that_fails_names_the_rule_and_the_offending_records(
    resumed: Ending, workspace: Path, user_folder: Path
) -> None:
    (clips,) = workspace.glob("smoke/steps/curate/*/**/clips.parquet")
    captions = {row["clip_id"]: str(row["caption"]) for row in kept_rows(clips.parent)}
    lengths = sorted(map(len, captions.values()))
    most = lengths[len(lengths) // 2] - 1
    offending = {clip_id for clip_id, caption in captions.items() if len(caption) > most}
    assert offending

    message, page = refused(workspace, user_folder, f"validation.max_caption_characters={most}")
    assert "captions are of a sensible length" in message
    assert "captions are of a sensible length" in page
    failure = page[: page.index("</section>", page.index("Offending records"))]
    assert all(clip_id in failure for clip_id in offending)


def test_a_folder_in_which_everything_is_dropped_says_why(tmp_path: Path, user_folder: Path) -> None:
    folder = tmp_path / "source"
    folder.mkdir()
    mute = next(path for path in user_folder.iterdir() if path.name.startswith("without_audio"))
    shutil.copyfile(mute, folder / "mute.mp4")
    ending = run(tmp_path / "runs", "--source", str(folder))
    assert ending.code == 2, ending.output
    assert "no_audio_track" in ending.output
    assert "Traceback" not in ending.output
