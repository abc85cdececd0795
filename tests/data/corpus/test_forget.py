"""Forgetting: what is reported, what the new version lacks, what stays, and what later publications may not bring."""

import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import pytest

from nava.artifacts.clip_manifest import read_clips
from nava.data.corpus.forget import forget
from nava.data.corpus.forget_list import ForgetList, ForgottenEntry, SourceSelector
from nava.data.corpus.history import VersionHistory
from nava.data.corpus.repository import CHECKOUTS_DIR
from nava.data.corpus.snapshot import open_snapshot
from nava.runtime.errors import InputError
from tests.data.corpus.corpus_repositories import CLIP_BYTES, clip, curated, dropped, git, repository, source

NAMES = [f"s{number:02d}" for number in range(8)]
GONE = source("s03")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A run with one version, and the clips that it was made of; tests take copies, since publishing takes longer."""
    folder = tmp_path_factory.mktemp("forget")
    others = [dropped(GONE, 9), dropped(source("s04"), 9)]
    repository(folder / "run/corpus").publish(curated(folder / "one", NAMES, others=others), recipe="demo")
    return folder


@pytest.fixture
def corpus(published, tmp_path):
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    return repository(tmp_path / "run/corpus")


def ids(table):
    return set(table["src_id"].to_pylist())


def objects(corpus):
    """Content of every object in cache and remote."""
    roots = (corpus.folder / ".dvc/cache", Path(corpus.remote_url))
    return [path.read_bytes() for root in roots for path in root.rglob("*") if path.is_file()]


def stored(corpus, data):
    return sum(data in content for content in objects(corpus))


def test_a_dry_run_reports_and_changes_nothing(corpus):
    head = git(corpus.folder, "rev-parse", "HEAD")
    report = forget(corpus.folder, "s03.mp4", "asked", corpus.config, dry_run=True)
    assert [row["src_id"] for row in report.sources] == [GONE["src_id"]]
    (held,) = report.occurrences
    assert (held.version, held.dropped_records, held.media_bytes) == ("v1", 1, 4 * CLIP_BYTES)
    assert held.clips == [f"{GONE['src_id'][4:12]}-{number}" for number in (0, 1)]
    assert len(held.shards) == 1
    assert (report.new_version, report.still_held_by) == ("", ["v1"])
    assert git(corpus.folder, "rev-parse", "HEAD") == head


def test_the_new_version_lacks_the_source_and_says_why(corpus):
    report = forget(corpus.folder, GONE["src_id"], "consent withdrawn", corpus.config)
    first, second = corpus.versions()
    assert (report.new_version, second.version, second.parent) == ("v2", "v2", "v1")
    assert second.reason == f"without src_id {GONE['src_id']}: consent withdrawn"
    assert (second.forgotten, second.recipe) == ([GONE["src_id"]], "demo")
    assert second.counts == {"in": 15, "kept": 14, "dropped": 1, "failed": 0, "quarantined": 0}
    with open_snapshot(corpus.folder, "v1") as before, open_snapshot(corpus.folder, "v2") as after:
        assert ids(before.manifest) - ids(after.manifest) == {GONE["src_id"]}
        assert GONE["src_id"] not in ids(after.others) | ids(after.sources)
        old, new = ({item.shard for item in one.media} for one in (before, after))
        assert old - new == set(report.occurrences[0].shards)
        assert report.rewritten_shards == len(new - old) == 1
        assert not [item for item in after.media if item.src_id == GONE["src_id"]]
    assert first.version in report.still_held_by


def test_old_versions_still_hold_the_bytes_until_they_are_purged(corpus, tmp_path):
    data = (tmp_path / "one" / clip(tmp_path / "again", GONE, 0)["audio_path"]).read_bytes()
    checkout = corpus.export(
        corpus.versions()[0], corpus.folder.with_name(CHECKOUTS_DIR) / corpus.versions()[0].content_sha256[:16]
    )
    report = forget(corpus.folder, GONE["src_sha256"], "asked", corpus.config)
    assert report.still_held_by == ["v1"]
    assert stored(corpus, data) == 2
    corpus.export(corpus.versions()[0], tmp_path / "out")

    report = forget(corpus.folder, GONE["src_sha256"], "asked", corpus.config, purge=True)
    assert list(report.purged) == ["v1"]
    assert report.still_held_by == []
    assert stored(corpus, data) == stored(corpus, b"s03.mp4") == 0
    assert not checkout.exists()
    with pytest.raises(InputError, match="v1 was purged"):
        corpus.export(corpus.versions()[0], tmp_path / "again")
    whole = corpus.export(corpus.versions()[1], tmp_path / "new")
    assert ids(read_clips(whole)) == {source(name)["src_id"] for name in NAMES} - {GONE["src_id"]}


def test_a_purge_leaves_what_versions_without_the_source_share(corpus, tmp_path):
    corpus.publish(curated(tmp_path / "two", [name for name in NAMES if name != "s03"]))
    corpus.publish(curated(tmp_path / "three", [*NAMES, "s08"]))
    report = forget(corpus.folder, GONE["src_id"], "asked", corpus.config, purge=True)
    assert sorted(report.purged) == ["v1", "v3"]
    shutil.rmtree(corpus.folder / ".dvc/cache")
    for version in (corpus.versions()[1], corpus.versions()[3]):
        corpus.export(version, tmp_path / version.version)


def test_a_source_that_comes_again_is_left_out_and_named(corpus, tmp_path):
    forget(corpus.folder, GONE["src_id"], "asked", corpus.config)
    renamed = {**GONE, "src_path": "other-name.mp4", "src_id": "src-0000"}
    clips = curated(tmp_path / "two", ["s00"], others=[clip(tmp_path / "two", renamed, 0)])
    version = corpus.publish(clips)
    assert version.forgotten == ["src-0000"]
    assert version.counts["in"] == 2
    refusing = repository(corpus.folder, on_forgotten="refuse")
    with pytest.raises(InputError, match="src-0000"):
        refusing.publish(clips)


def test_a_forgotten_origin_stays_forgotten_for_sources_that_come_later(corpus, tmp_path):
    later = [clip(tmp_path / "two", source(name, origin="Web-2024"), 0) for name in ("x", "y")]
    corpus.publish(curated(tmp_path / "two", ["s00"], others=later[:1]))
    report = forget(corpus.folder, "origin:Web-*", "licence ended", corpus.config)
    assert [row["src_path"] for row in report.sources] == ["x.mp4"]
    version = corpus.publish(curated(tmp_path / "two", ["s00", "s01"], others=later))
    assert version.forgotten == sorted(row["src_id"] for row in later)


def test_what_only_an_old_version_holds_is_listed_and_makes_no_version(corpus, tmp_path):
    corpus.publish(curated(tmp_path / "two", ["s00"]))
    report = forget(corpus.folder, GONE["src_id"], "asked", corpus.config)
    assert (report.new_version, report.still_held_by) == ("", ["v1"])
    assert len(corpus.versions()) == 2
    assert corpus.forget_list().covered([GONE]) == [GONE["src_id"]]
    commits = git(corpus.folder, "rev-list", "--count", "HEAD")
    forget(corpus.folder, GONE["src_id"], "asked", corpus.config)
    assert git(corpus.folder, "rev-list", "--count", "HEAD") == commits
    assert corpus.publish(curated(tmp_path / "three", ["s00", "s01"])).version == "v3"


def test_what_equals_an_older_version_is_still_the_newest(corpus, tmp_path):
    clips = curated(tmp_path / "two", [*NAMES, "new"], others=[dropped(GONE, 9), dropped(source("s04"), 9)])
    corpus.publish(clips)
    assert forget(corpus.folder, "new.mp4", "asked", corpus.config).new_version == "v3"
    first, _, third = corpus.versions()
    assert third.content_sha256 == first.content_sha256


def test_a_corpus_may_lose_its_last_source(tmp_path):
    corpus = repository(tmp_path / "corpus")
    corpus.publish(curated(tmp_path / "one", ["s03"]))
    forget(corpus.folder, "s03.mp4", "asked", corpus.config, purge=True)
    version = corpus.versions()[-1]
    assert version.counts["in"] == 0
    assert read_clips(corpus.export(version, tmp_path / "out")).num_rows == 0


def test_what_no_version_has_is_an_error(corpus, tmp_path):
    with pytest.raises(InputError, match=r"no version of .* has a source with path 'none\.mp4'"):
        forget(corpus.folder, "none.mp4", "asked", corpus.config)
    with pytest.raises(InputError, match="no corpus repository"):
        forget(tmp_path / "nowhere", "s03.mp4", "asked")


def die_at(moment, folder):
    """Forgets and purges, and dies at a named moment as by kill -9."""
    from nava.data.corpus.dvc_store import DvcStore

    def die(*_, **__):
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(*{"tag": (VersionHistory, "tag"), "delete": (DvcStore, "delete")}[moment], die)
    forget(folder, GONE["src_id"], "asked", repository(folder).config, purge=True)


@pytest.mark.parametrize("moment", ["tag", "delete"])
def test_a_kill_is_finished_by_the_next_attempt(corpus, tmp_path, moment):
    data = (tmp_path / "one" / clip(tmp_path / "again", GONE, 0)["audio_path"]).read_bytes()
    process = multiprocessing.get_context("spawn").Process(target=die_at, args=(moment, corpus.folder))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    forget(corpus.folder, GONE["src_id"], "asked", corpus.config, purge=True)
    assert [version.version for version in corpus.versions()] == ["v1", "v2"]
    assert stored(corpus, data) == 0
    assert git(corpus.folder, "status", "--short") == ""


@pytest.mark.parametrize(
    ("text", "by"),
    [
        ("src-0011", "src_id"),
        ("a" * 64, "sha256"),
        ("talks/a.mp4", "path"),
        ("path:talks/*", "path"),
        ("origin:Web", "origin"),
        ("licence:CC-BY-NC-*", "licence"),
        ("C:odd name.mp4", "path"),
    ],
)
def test_sources_are_named_by_what_the_text_looks_like(text, by):
    assert SourceSelector.parse(text).by == by


@pytest.mark.parametrize("text", ["", "*", "origin:", "path:*", "licence:??"])
def test_what_would_name_everything_is_refused(text):
    with pytest.raises(InputError, match="does not name a source"):
        SourceSelector.parse(text)


def test_a_path_with_brackets_names_itself():
    assert SourceSelector.parse("take [1].mp4").matches({"src_path": "take [1].mp4"})
    assert SourceSelector("origin", "web").matches({"origin": None}) is False


def test_the_list_is_read_back_and_merges_what_is_asked_twice(tmp_path):
    asked = ForgetList().with_entry(ForgottenEntry("path", "a*", "one", {"src-1": "1" * 64}))
    asked = asked.with_entry(ForgottenEntry("path", "a*", "two", {"src-2": "2" * 64}))
    asked.write(tmp_path)
    read = ForgetList.parse((tmp_path / "forgotten.json").read_bytes())
    assert read.entries == [ForgottenEntry("path", "a*", "two", {"src-1": "1" * 64, "src-2": "2" * 64})]
    by_path = {"src_id": "src-9", "src_sha256": "9" * 64, "src_path": "a.mp4"}
    assert read.covered([by_path]) == []  # another file that happens to lie at that path
    assert read.covered([{**by_path, "src_sha256": "1" * 64}]) == ["src-9"]
    with pytest.raises(InputError, match="schema version 9"):
        ForgetList.parse(b'{"schema_version": 9, "entries": []}')
