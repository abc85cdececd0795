"""Folders as users have them: broken files, files that only look like media, and folders with nothing usable."""

import shutil
from pathlib import Path

import pytest

from nava.artifacts.clip_manifest import kept_rows
from nava.config.synthetic import DefectCounts, SyntheticConfig
from nava.data.synthetic.generate import generate
from nava.data.synthetic.labels import read_labels
from nava.runtime.progress import Progress
from tests.e2e.life_cycle import Ending, run

pytestmark = pytest.mark.e2e
ONE_OF_EACH = DefectCounts(0, 0, 0, 1, 0, 1, 0, 1, 1, 1)


@pytest.fixture(scope="module")
def user_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good clips beside a truncated file, a text file named .mp4, a video without sound, a silent one and a note."""
    root = tmp_path_factory.mktemp("generated")
    generate(root, SyntheticConfig(videos=9, audio_files=2, defects=ONE_OF_EACH), 11, Progress())
    folder = tmp_path_factory.mktemp("user")
    for label in read_labels(root):
        name = f"{label.defect or 'clean'}-{Path(label.path).name}"
        shutil.copyfile(root / "media" / label.path, folder / name)
    (folder / "words.mp4").write_text("This is a text file that somebody renamed.\n" * 50)
    (folder / "notes.txt").write_text("notes")
    return folder


@pytest.fixture(scope="module")
def user_workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def user_run(user_folder: Path, user_workspace: Path) -> Ending:
    return run(user_workspace, "--source", str(user_folder))


def test_a_folder_with_broken_files_runs_to_its_end(user_run: Ending) -> None:
    assert user_run.code in (0, 3), user_run.output
    states = user_run.states()
    assert all(states[name] == "succeeded" for name in ("ingest", "curate", "validate", "train_stage3", "evaluate"))


def test_each_broken_file_is_listed_with_its_reason(user_run: Ending, user_folder: Path) -> None:
    dropped = user_run.summary["dropped"]
    for reason in ("undecodable", "no_audio_track", "too_quiet", "static_picture"):
        assert dropped.get(reason, 0) >= 1, dropped


def test_a_gate_that_fails_stops_the_run_before_training(
    user_run: Ending, user_workspace: Path, user_folder: Path
) -> None:
    ending = run(user_workspace, "--source", str(user_folder), "validation.min_kept_clips=100000")
    assert ending.code == 3, ending.output
    assert ending.summary["state"] == "gate_failed"
    states = ending.states()
    assert states["validate"] == "gate_failed"
    assert all(states[name] == "pending" for name in ("version", "encode", "train_stage1", "promote"))
    assert "100000" in ending.summary["failure"]["message"]
    page = (user_workspace / "smoke" / "index.html").read_text()
    assert "100000" in page


def test_a_gate_that_fails_names_the_rule_and_the_offending_records(
    user_run: Ending, user_workspace: Path, user_folder: Path
) -> None:
    (clips,) = user_workspace.glob("smoke/steps/curate/*/**/clips.parquet")
    captions = {row["clip_id"]: str(row["caption"]) for row in kept_rows(clips.parent)}
    lengths = sorted(map(len, captions.values()))
    most = lengths[len(lengths) // 2] - 1
    offending = {clip_id for clip_id, caption in captions.items() if len(caption) > most}
    assert offending

    setting = f"validation.max_caption_characters={most}"
    ending = run(user_workspace, "--source", str(user_folder), setting)
    assert ending.code == 3, ending.output
    assert ending.executed() == [], "curation was repeated"
    assert ending.states()["version"] == "pending"
    assert "captions are of a sensible length" in ending.summary["failure"]["message"]
    page = (user_workspace / "smoke" / "index.html").read_text()
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
