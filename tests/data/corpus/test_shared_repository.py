"""Several machines that publish to one corpus: one git repository, one remote, and a folder on each machine."""

import multiprocessing
import os
import shutil
import signal

import pytest

from nava.artifacts.corpus_version import write_corpus_version
from nava.config.corpus import CorpusConfig
from nava.data.corpus.diff import diff
from nava.data.corpus.forget import forget
from nava.data.corpus.history import VersionHistory
from nava.data.corpus.repository import CorpusRepository, checkout
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_tree
from tests.data.corpus.corpus_repositories import curated, git, repository, source


@pytest.fixture
def address(tmp_path):
    folder = tmp_path / "git/corpus.git"
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "--bare", "-b", "main")
    return str(folder)


@pytest.fixture
def machine(address, tmp_path):
    def make(name):
        return repository(tmp_path / name / "corpus", git_url=address, remote_url=str(tmp_path / "bucket"))

    return make


def test_a_second_machine_goes_on_from_the_first(machine, address, tmp_path):
    first = machine("a").publish(curated(tmp_path / "one", ["s00", "s01"]))
    second = machine("b").publish(curated(tmp_path / "two", ["s00", "s01", "s02"]))
    assert (second.version, second.parent) == ("v2", "v1")
    assert machine("a").publish(curated(tmp_path / "again", ["s00", "s01"])) == first
    assert [version.version for version in machine("a").versions()] == ["v1", "v2"]
    assert git(tmp_path / "git/corpus.git", "tag").split() == ["v1", "v2"]
    assert git(tmp_path / "git/corpus.git", "rev-parse", "main") == second.git_revision
    assert diff(address).new.content_sha256 == second.content_sha256
    assert git(machine("b").folder, "status", "--short") == ""


def test_who_is_overtaken_begins_again_from_there(machine, tmp_path, monkeypatch):
    share, rivals = VersionHistory.share, []

    def slow(self, url, tag=""):
        if self.folder.parent.name == "a" and not rivals:
            rivals.append(machine("b").publish(curated(tmp_path / "two", ["s01"])))
        return share(self, url, tag)

    monkeypatch.setattr(VersionHistory, "share", slow)
    version = machine("a").publish(curated(tmp_path / "one", ["s00"]))
    assert (rivals[0].version, version.version, version.parent) == ("v1", "v2", "v1")
    assert sha256_tree(machine("a").export(version, tmp_path / "out")) == version.content_sha256
    assert git(tmp_path / "git/corpus.git", "rev-list", "--count", "main") == "2"


def publish_from(name, address, bucket, clips):
    config = CorpusConfig(git_url=address, remote_url=bucket, shard_mb=0.04)
    CorpusRepository(clips.parent / name / "corpus", config).publish(clips)


def test_machines_that_publish_at_once_make_one_version_each(machine, address, tmp_path):
    context = multiprocessing.get_context("spawn")
    names = ["a", "b", "c"]
    processes = []
    for name in names:
        clips = curated(tmp_path / f"clips-{name}", [f"s-{name}"])
        arguments = (name, address, str(tmp_path / "bucket"), clips)
        processes.append(context.Process(target=publish_from, args=arguments))
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    last = machine("d")
    with last.changing():
        pass
    assert [(version.version, version.parent) for version in last.versions()] == [
        ("v1", ""),
        ("v2", "v1"),
        ("v3", "v2"),
    ]
    assert len({version.content_sha256 for version in last.versions()}) == 3


def die_while_sharing(moment, name, address, bucket, clips):
    share = VersionHistory.share

    def killed(self, url, tag=""):
        if moment == "after the push":
            share(self, url, tag)
        os.kill(os.getpid(), signal.SIGKILL)

    VersionHistory.share = killed
    publish_from(name, address, bucket, clips)


@pytest.mark.parametrize("moment", ["before the push", "after the push"])
def test_a_kill_around_the_push_is_finished_by_the_next_attempt(machine, address, tmp_path, moment):
    clips = curated(tmp_path / "clips", ["s00"])
    arguments = (moment, "a", address, str(tmp_path / "bucket"), clips)
    process = multiprocessing.get_context("spawn").Process(target=die_while_sharing, args=arguments)
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert machine("a").publish(clips).version == "v1"
    assert git(tmp_path / "git/corpus.git", "tag") == "v1"
    assert git(tmp_path / "git/corpus.git", "rev-list", "--count", "main") == "1"


def test_lists_of_one_machine_bind_the_others(machine, tmp_path):
    machine("a").publish(curated(tmp_path / "one", ["s00", "s01"]))
    machine("b").publish(curated(tmp_path / "two", ["s00", "s01", "s02"]))
    corpus = machine("c")  # which has nothing yet
    assert forget(corpus.folder, "s01.mp4", "asked", corpus.config, dry_run=True).still_held_by == ["v1", "v2"]
    report = forget(corpus.folder, "s01.mp4", "asked", corpus.config, purge=True)
    assert (report.new_version, sorted(report.purged)) == ("v3", ["v1", "v2"])
    version = machine("a").publish(curated(tmp_path / "three", ["s00", "s01", "s03"]))
    assert (version.version, version.forgotten) == ("v4", [source("s01")["src_id"]])
    with pytest.raises(InputError, match="v1 was purged"):
        machine("a").export(machine("a").versions()[0], tmp_path / "out")


def test_a_step_in_a_pod_checks_out_by_the_git_address(machine, tmp_path):
    version = machine("a").publish(curated(tmp_path / "one", ["s00"]))
    handle = write_corpus_version(tmp_path / "version.json", version)
    shutil.rmtree(machine("a").folder)
    assert sha256_tree(checkout(handle)) == version.content_sha256


def test_a_repository_of_another_history_is_refused(machine, address, tmp_path):
    machine("a").publish(curated(tmp_path / "one", ["s00"]))
    repository(tmp_path / "b/corpus", remote_url=str(tmp_path / "bucket")).publish(curated(tmp_path / "two", ["s01"]))
    with pytest.raises(InputError, match="has corpus versions that"):
        machine("b").publish(curated(tmp_path / "two", ["s01"]))


def test_versions_made_before_there_was_a_shared_repository_are_pushed_to_it(machine, tmp_path):
    alone = repository(tmp_path / "a/corpus", remote_url=str(tmp_path / "bucket"))
    alone.publish(curated(tmp_path / "one", ["s00"]))
    assert machine("a").publish(curated(tmp_path / "two", ["s00", "s01"])).version == "v2"
    assert git(tmp_path / "git/corpus.git", "tag").split() == ["v1", "v2"]


def test_an_address_that_cannot_be_reached_makes_no_version(tmp_path):
    corpus = repository(tmp_path / "corpus", git_url=str(tmp_path / "none.git"), remote_url=str(tmp_path / "bucket"))
    with pytest.raises(InputError, match=r"none\.git cannot be reached"):
        corpus.publish(curated(tmp_path / "one", ["s00"]))
    assert corpus.versions() == []


def test_a_shared_repository_needs_a_remote_that_all_reach():
    with pytest.raises(InputError, match=r"corpus\.remote_url"):
        CorpusConfig(git_url="https://host/corpus.git").check()
