"""The step `version`."""

import errno

import pytest

from nava.artifacts.clip_manifest import kept_rows, read_clips, write_clips
from nava.artifacts.corpus_version import read_corpus_version
from nava.config.corpus import CorpusConfig
from nava.data.corpus.repository import checkout
from nava.data.corpus.step import version
from nava.runtime import storage
from nava.runtime.errors import GateFailed, InputError
from nava.runtime.handle import Handle
from nava.runtime.step import Step

PASSED = Handle("gate_verdict", "verdict", "a" * 64, {"passed": True})


@pytest.fixture
def step(tmp_path):
    return Step("version", tmp_path / "run", "run", {"corpus": {}}, 0, key="k" * 64, workdir=tmp_path / "run/work")


@pytest.fixture
def clips(tmp_path):
    folder = tmp_path / "clips"
    for name in ("media", "thumbnails"):
        (folder / name).mkdir(parents=True)
    rows = []
    for number, status in enumerate(("kept", "kept", "dropped", "failed")):
        paths = {"thumbnail_path": f"thumbnails/{number}.jpg"}
        (folder / paths["thumbnail_path"]).write_bytes(b"jpg")
        if status == "kept":
            paths |= {"video_path": f"media/{number}.mp4", "audio_path": f"media/{number}.wav"}
            (folder / paths["video_path"]).write_bytes(b"mp4%d" % number)
            (folder / paths["audio_path"]).write_bytes(b"wav%d" % number)
        reason = None if status == "kept" else "silent"
        source = {"src_id": "src-1", "src_sha256": "0" * 64, "src_path": "a.mp4", "modality": "av", "stage": "filters"}
        split = ("heldout", "train")[number] if status == "kept" else None
        rows.append(
            {"clip_id": str(number), "status": status, "drop_reason": reason, "split": split, **source, **paths}
        )
    write_clips(folder, rows)
    return Handle.of_path("clips", folder)


def test_only_kept_clips_become_a_version(step, clips):
    handle = version(step, clips, PASSED)
    folder = checkout(handle)
    assert [row["clip_id"] for row in kept_rows(folder)] == ["0", "1"]
    assert read_clips(folder).num_rows == 2
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"clips.parquet", "media/0.mp4", "media/0.wav", "media/1.mp4", "media/1.wav"}
    assert (folder / "media/1.wav").read_bytes() == b"wav1"


def test_the_version_carries_counts_origin_and_parent(step, clips):
    record = read_corpus_version(version(step, clips, PASSED))
    assert record.counts == {"in": 4, "kept": 2, "dropped": 1, "failed": 1, "quarantined": 0}
    assert record.kept_by_split == {"heldout/av": 1, "train/av": 1}
    assert record.clips_sha256 == clips.sha256
    assert record.verdict_sha256 == PASSED.sha256
    assert (record.version, record.parent) == ("v1", "")


def test_the_handle_is_the_contents_not_the_commits(step, clips, tmp_path):
    first = version(step, clips, PASSED)
    elsewhere = Step("version", tmp_path / "two", "run", {"corpus": {}}, 0, key="k", workdir=tmp_path / "two/work")
    other = version(elsewhere, clips, PASSED)
    assert other.sha256 == first.sha256
    assert other.uri != first.uri
    assert version(step, clips, PASSED).to_dict() == first.to_dict()


def test_a_refused_corpus_gets_no_version(step, clips):
    refused = Handle("gate_verdict", "verdict", "a" * 64, {"passed": False})
    with pytest.raises(GateFailed, match="refused"):
        version(step, clips, refused)
    assert not (step.run_dir / "corpus").exists()


def test_handles_of_other_kinds_are_refused(step, clips):
    with pytest.raises(InputError, match="gate_verdict"):
        version(step, clips, clips)
    with pytest.raises(InputError, match="clips"):
        version(step, PASSED, PASSED)


def test_what_was_staged_is_gone_afterwards_and_the_clips_are_unharmed(step, clips):
    version(step, clips, PASSED)
    assert [path.name for path in step.workdir.iterdir()] == ["corpus_version.json"]
    assert Handle.of_path("clips", clips.path).sha256 == clips.sha256
    assert (clips.path / "media/0.wav").stat().st_mode & 0o200


def test_a_file_system_without_hard_links_is_copied_on(step, clips, monkeypatch):
    def refused(*_):
        raise OSError(errno.EXDEV, "cross-device link")

    monkeypatch.setattr(storage.os, "link", refused)
    folder = checkout(version(step, clips, PASSED))
    assert (folder / "media/1.wav").read_bytes() == b"wav1"


def test_an_author_can_be_configured(step, clips):
    step.sections["corpus"] = {"author_name": "Robot"}
    version(step, clips, PASSED)
    log = (step.run_dir / "corpus/.git/logs/HEAD").read_text()
    assert "Robot" in log
    assert CorpusConfig().author_name not in log
