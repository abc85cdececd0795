"""The corpus repository: versions, their content, kills, and what it never touches."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from nava.artifacts.clip_manifest import read_clips, write_clips
from nava.artifacts.corpus_version import CorpusVersion, read_corpus_version, write_corpus_version
from nava.config.corpus import CorpusConfig
from nava.data.corpus import packing
from nava.data.corpus.repository import CorpusRepository, checkout
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_tree

SOURCE = {"src_id": "src-1", "src_sha256": "0" * 64, "src_path": "a.mp4", "modality": "audio", "stage": "filters"}


def make_clips(folder, seed=0, count=3):
    (folder / "media").mkdir(parents=True)
    random = np.random.default_rng(seed)
    rows = []
    for number in range(count):
        path = f"media/{seed}-{number}.wav"
        (folder / path).write_bytes(random.bytes(500))
        rows.append({"clip_id": f"{seed}-{number}", "status": "kept", "audio_path": path, "t0_us": number, **SOURCE})
    write_clips(folder, rows)
    return folder


@pytest.fixture
def repository(tmp_path):
    return CorpusRepository(tmp_path / "run/corpus", CorpusConfig())


@pytest.fixture
def clips(tmp_path):
    return make_clips(tmp_path / "clips")


def git(folder, *arguments):
    clean = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(folder)}
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=clean).stdout.strip()


def handle_of(tmp_path, version):
    return write_corpus_version(tmp_path / f"{version.version}.json", version)


def test_a_version_is_a_tagged_commit_with_a_record(repository, clips):
    version = repository.publish(clips)
    assert (version.version, version.parent) == ("v1", "")
    assert version.content_sha256 == sha256_tree(clips)
    assert version.git_revision == git(repository.folder, "rev-parse", "v1")
    assert version.dvc_md5 in (repository.folder / "clips.dvc").read_text()
    assert json.loads(git(repository.folder, "show", "v1:corpus.json"))["content_sha256"] == version.content_sha256
    assert git(repository.folder, "status", "--short") == ""
    assert "clips/" not in git(repository.folder, "ls-tree", "-r", "--name-only", "HEAD")


def test_the_same_content_is_the_same_version(repository, clips, tmp_path):
    first = repository.publish(clips)
    shutil.copytree(clips, tmp_path / "copy")
    assert repository.publish(tmp_path / "copy") == first
    assert git(repository.folder, "rev-list", "--count", "HEAD") == "1"


def test_the_same_content_of_another_run_carries_that_runs_facts(repository, clips, tmp_path):
    first = repository.publish(clips, clips_sha256="a" * 64)
    rows = read_clips(clips).to_pylist()
    dropped = {"clip_id": "x", "status": "dropped", "drop_reason": "silent", **SOURCE}
    write_clips(clips, [*rows, dropped])
    second = repository.publish(clips, clips_sha256="b" * 64, verdict_sha256="c" * 64)
    assert second.counts == {"in": 4, "kept": 3, "dropped": 1, "failed": 0, "quarantined": 0}
    assert (second.clips_sha256, second.verdict_sha256) == ("b" * 64, "c" * 64)
    assert (second.version, second.git_revision) == (first.version, first.git_revision)
    assert repository.versions() == [first]


def test_versions_have_parents_and_an_old_content_is_its_old_version(repository, clips, tmp_path):
    first = repository.publish(clips)
    second = repository.publish(make_clips(tmp_path / "more", seed=1))
    assert (second.version, second.parent) == ("v2", "v1")
    assert repository.publish(clips) == first
    assert [version.version for version in repository.versions()] == ["v1", "v2"]


def test_every_version_can_be_checked_out_again(repository, clips, tmp_path):
    more = make_clips(tmp_path / "more", seed=1)
    versions = [repository.publish(folder) for folder in (clips, more)]
    for version, original in zip(versions, (clips, more), strict=True):
        folder = checkout(handle_of(tmp_path, version))
        assert sha256_tree(folder) == sha256_tree(original)
        assert checkout(handle_of(tmp_path, version)) == folder


def test_what_the_cache_lost_comes_from_the_remote(repository, clips, tmp_path):
    version = repository.publish(clips)
    shutil.rmtree(repository.folder / ".dvc/cache")
    assert sha256_tree(checkout(handle_of(tmp_path, version))) == sha256_tree(clips)


def test_what_nobody_has_is_a_clear_error_and_leaves_nothing(repository, clips, tmp_path):
    version = repository.publish(clips)
    shutil.rmtree(repository.folder / ".dvc/cache")
    shutil.rmtree(repository.remote_url)
    with pytest.raises(InputError, match="v1 cannot be checked out"):
        checkout(handle_of(tmp_path, version))
    assert not (tmp_path / "run/corpus-checkouts").exists()


def test_a_remote_with_other_bytes_is_noticed(repository, clips, tmp_path):
    version = repository.publish(clips)
    shutil.rmtree(repository.folder / ".dvc/cache")
    wav = (clips / "media/0-1.wav").read_bytes()
    (stored,) = [path for path in Path(repository.remote_url).rglob("*") if path.is_file() and wav in path.read_bytes()]
    stored.chmod(0o644)
    stored.write_bytes(stored.read_bytes().replace(wav, b"?" * len(wav)))
    with pytest.raises(InputError, match=r"media/0-1.wav in shard .* is not what was committed"):
        checkout(handle_of(tmp_path, version))
    assert not list((tmp_path / "run/corpus-checkouts").rglob("clips.parquet"))


def test_a_repository_that_is_gone_is_a_clear_error(repository, clips, tmp_path):
    handle = handle_of(tmp_path, repository.publish(clips))
    shutil.rmtree(repository.folder)
    with pytest.raises(InputError, match="gone"):
        checkout(handle)


def test_the_run_may_be_moved(repository, clips, tmp_path):
    version = repository.publish(clips)
    (tmp_path / "run").rename(tmp_path / "moved")
    moved = CorpusRepository(tmp_path / "moved/corpus", CorpusConfig())
    shutil.rmtree(moved.folder / ".dvc/cache")
    assert moved.versions()[0].content_sha256 == version.content_sha256
    assert sha256_tree(moved.export(moved.versions()[0], tmp_path / "out")) == sha256_tree(clips)
    assert str(tmp_path) not in (moved.folder / ".dvc/config").read_text()


def test_commits_are_by_the_configured_author_and_not_the_users_git(clips, tmp_path, monkeypatch):
    (tmp_path / "home").mkdir()
    settings = "[user]\nname = Somebody\nemail = some@body\n[commit]\ngpgsign = true\n[core]\nhooksPath = /nowhere\n"
    (tmp_path / "home/.gitconfig").write_text(settings)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    repository = CorpusRepository(tmp_path / "corpus", CorpusConfig(author_name="Robot", author_email="r@x"))
    repository.publish(clips)
    assert git(repository.folder, "log", "-1", "--format=%an <%ae> %cn %G?") == "Robot <r@x> Robot N"
    assert (tmp_path / "home/.gitconfig").read_text() == settings


def test_a_surrounding_repository_is_not_touched(clips, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    git(project, "init", "-q")
    (project / ".gitignore").write_text("/runs\n")
    git(project, "add", ".gitignore")
    before = sha256_tree(project / ".git")
    CorpusRepository(project / "runs/demo/corpus", CorpusConfig()).publish(clips)
    assert sha256_tree(project / ".git") == before
    assert {path.name for path in project.iterdir()} == {".git", ".gitignore", "runs"}


def test_a_remote_can_be_configured(clips, tmp_path):
    config = CorpusConfig(remote_url=str(tmp_path / "bucket"))
    repository = CorpusRepository(tmp_path / "run/corpus", config)
    assert repository.publish(clips).remote_url == str(tmp_path / "bucket")
    assert any(path.is_file() for path in (tmp_path / "bucket").rglob("*"))
    assert not (tmp_path / "run/corpus-remote").exists()


def test_an_s3_endpoint_is_written_for_dvc(tmp_path):
    config = CorpusConfig(remote_url="s3://corpora/toy", remote_endpoint_url="http://localhost:9000")
    repository = CorpusRepository(tmp_path / "corpus", config)
    repository._ensure()
    text = (repository.folder / ".dvc/config").read_text()
    assert "url = s3://corpora/toy" in text
    assert "endpointurl = http://localhost:9000" in text
    assert "analytics = False" in text


def die_at(moment, folder, clips):
    """Publishes, and dies at a named moment as by kill -9."""
    from dulwich import porcelain
    from dvc.repo import Repo

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    target = {
        "shard": (packing, "_add"),
        "track": (Repo, "add"),
        "push": (Repo, "push"),
        "commit": (porcelain, "commit"),
        "tag": (CorpusRepository, "_tag"),
    }[moment]
    setattr(*target, die)
    CorpusRepository(folder, CorpusConfig()).publish(clips)


@pytest.mark.parametrize("moment", ["shard", "track", "push", "commit", "tag"])
def test_a_kill_at_any_moment_is_finished_by_the_next_attempt(repository, clips, moment):
    process = multiprocessing.get_context("spawn").Process(target=die_at, args=(moment, repository.folder, clips))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    (repository.folder / ".git/index.lock").write_bytes(b"")  # as a process killed inside git leaves it
    version = repository.publish(clips)
    assert version.version == "v1"
    assert git(repository.folder, "rev-list", "--count", "HEAD") == "1"
    assert git(repository.folder, "tag") == "v1"
    assert git(repository.folder, "status", "--short") == ""


def publish_one(folder, clips):
    CorpusRepository(folder, CorpusConfig()).publish(clips)


def test_two_at_once_make_one_version_each(repository, clips, tmp_path):
    folders = [clips, make_clips(tmp_path / "more", seed=1)]
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=publish_one, args=(repository.folder, folder)) for folder in folders]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    versions = repository.versions()
    assert {version.content_sha256 for version in versions} == {sha256_tree(folder) for folder in folders}
    assert [version.version for version in versions] == ["v1", "v2"]


def test_the_json_of_a_version_is_read_back_and_checked(repository, clips, tmp_path):
    version = repository.publish(clips)
    handle = handle_of(tmp_path, version)
    assert read_corpus_version(handle) == version
    assert handle.sha256 == version.content_sha256
    assert isinstance(version, CorpusVersion)
