"""Pulling: from a git address and a remote alone, whole or in part, on S3 and folders."""

import multiprocessing
import os
import shutil
import signal
from pathlib import Path

import boto3
import pytest

from nava.artifacts.clip_manifest import kept_rows, read_clips
from nava.config.corpus import CorpusConfig
from nava.data.corpus import snapshot
from nava.data.corpus.pull import pull
from nava.data.corpus.repository import CorpusRepository
from nava.data.corpus.snapshot import list_versions, open_snapshot
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_tree
from tests.data.corpus.corpus_repositories import curated, git, repository, source

NAMES = [f"s{number:02d}" for number in range(6)]


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """What a publishing machine leaves elsewhere: the git side of two versions, and their remote."""
    folder = tmp_path_factory.mktemp("pull")
    corpus = repository(folder / "run/corpus")
    corpus.publish(curated(folder / "one", NAMES[:4]))
    corpus.publish(curated(folder / "two", NAMES))
    git(folder, "clone", "-q", "--bare", str(corpus.folder), str(folder / "left/git/corpus.git"))
    shutil.move(corpus.remote_url, folder / "left/remote")
    return folder / "left"


@pytest.fixture
def address(published, tmp_path):
    """The git address of a copy of it."""
    shutil.copytree(published, tmp_path, dirs_exist_ok=True)
    return str(tmp_path / "git/corpus.git")


@pytest.fixture
def remote(tmp_path):
    return str(tmp_path / "remote")


def test_a_version_comes_without_a_working_copy(address, remote, tmp_path):
    came = pull(address, "v1", tmp_path / "out", remote_url=remote)
    assert sha256_tree(came.folder) == came.version.content_sha256
    assert (came.version.version, came.clips, came.files) == ("v1", 8, 16)
    assert len(kept_rows(tmp_path / "out")) == 8


def test_without_a_name_the_newest_version_comes(address, remote, tmp_path):
    assert list_versions(address) == ["v1", "v2"]
    assert pull(address, "", tmp_path / "out", remote_url=remote).version.version == "v2"


def test_a_commit_is_a_name_too(address, remote, tmp_path):
    commit = git(Path(address), "rev-parse", "v1")
    assert pull(address, commit, tmp_path / "out", remote_url=remote).version.content_sha256 == (
        pull(address, "v1", tmp_path / "tagged", remote_url=remote).version.content_sha256
    )


def test_the_manifest_alone_needs_no_shard(address, remote, tmp_path):
    with open_snapshot(address, "v2", remote_url=remote) as whole:
        shards = [whole.hashes()[name] for name in whole.hashes() if name.startswith("shards/")]
    for md5 in shards:
        (tmp_path / "remote/files/md5" / md5[:2] / md5[2:]).unlink()
    came = pull(address, "v2", tmp_path / "out", manifest_only=True, remote_url=remote)
    assert (came.clips, came.files, came.bytes) == (12, 0, 0)
    assert read_clips(tmp_path / "out").num_rows == 12


def test_some_shards_come_with_the_manifest_of_their_clips(address, remote, tmp_path):
    with open_snapshot(address, "v2", remote_url=remote) as whole:
        shard = whole.media[0].shard
        paths = {item.path for item in whole.media if item.shard == shard}
    came = pull(address, "v2", tmp_path / "out", shards=[shard], remote_url=remote)
    rows = kept_rows(tmp_path / "out")
    assert {row[column] for row in rows for column in ("video_path", "audio_path")} == paths
    assert (came.clips, came.files) == (len(rows), len(paths))
    assert 0 < came.clips < 12


def test_some_sources_come_alone(address, remote, tmp_path):
    wanted = source("s02")["src_id"]
    pull(address, "v2", tmp_path / "out", sources=[wanted], remote_url=remote)
    assert [row["src_id"] for row in kept_rows(tmp_path / "out")] == [wanted, wanted]
    assert len(list((tmp_path / "out/media").iterdir())) == 4


def test_a_part_can_be_completed(address, remote, tmp_path):
    pull(address, "v2", tmp_path / "out", sources=[source("s02")["src_id"]], remote_url=remote)
    came = pull(address, "v2", tmp_path / "out", remote_url=remote)
    assert sha256_tree(tmp_path / "out") == came.version.content_sha256


@pytest.mark.parametrize("part", [{"shards": ["0" * 64]}, {"sources": ["src-none"]}])
def test_a_part_that_is_not_there_is_named(address, remote, tmp_path, part):
    ((_, (name,)),) = part.items()
    with pytest.raises(InputError, match=name):
        pull(address, "v2", tmp_path / "out", **part, remote_url=remote)
    assert not (tmp_path / "out").exists()


def test_what_came_is_checked(address, remote, tmp_path):
    with open_snapshot(address, "v2", remote_url=remote) as whole:
        first = whole.media[0]
        data = whole.read(first.path)
    (shard,) = [path for path in Path(remote).rglob("*") if path.is_file() and data in path.read_bytes()]
    shard.chmod(0o644)
    shard.write_bytes(shard.read_bytes().replace(data, bytes(len(data))))
    with pytest.raises(InputError, match=f"{first.path} in shard .* is not what was committed"):
        pull(address, "v2", tmp_path / "out", remote_url=remote)
    assert not (tmp_path / "out/clips.parquet").exists()


def die_after(count, address, remote, target):
    """Pulls, and dies as by kill -9 when so many files are there."""
    extract = snapshot.CorpusSnapshot._extract
    seen = []

    def counted(self, raw, item, path):
        if len(seen) == count:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(f".{path.name}.01234567.part").write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        seen.append(item.path)
        extract(self, raw, item, path)

    snapshot.CorpusSnapshot._extract = counted
    pull(address, "v2", target, remote_url=remote)


def test_a_killed_pull_goes_on_where_it_was(address, remote, tmp_path, monkeypatch):
    target = tmp_path / "out"
    process = multiprocessing.get_context("spawn").Process(target=die_after, args=(5, address, remote, target))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert not (target / "clips.parquet").exists()
    fetched = []
    extract = snapshot.CorpusSnapshot._extract
    monkeypatch.setattr(
        snapshot.CorpusSnapshot, "_extract", lambda *call: (fetched.append(call[2].path), extract(*call))
    )
    came = pull(address, "v2", target, remote_url=remote)
    assert sha256_tree(target) == came.version.content_sha256
    assert len(fetched) == came.files - 5
    assert not [path for path in target.rglob("*") if path.name.endswith(".part")]


def test_a_folder_with_something_else_is_refused(address, remote, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.txt").write_text("mine")
    with pytest.raises(InputError, match=r"thesis\.txt"):
        pull(address, "v1", tmp_path / "out", remote_url=remote)
    assert (tmp_path / "out/thesis.txt").read_text() == "mine"


@pytest.mark.parametrize("version", ["v3", "latest", "--upload-pack=x", "v1; rm"])
def test_a_version_that_is_not_there_is_named(address, remote, tmp_path, version):
    with pytest.raises(InputError, match=version):
        pull(address, version, tmp_path / "out", remote_url=remote)


def test_an_address_without_a_corpus_is_named(tmp_path):
    with pytest.raises(InputError, match="no corpus repository at"):
        pull(str(tmp_path / "nowhere"), "", tmp_path / "out")
    git(tmp_path, "init", "-q", "other")
    with pytest.raises(InputError, match="other"):
        pull(str(tmp_path / "other"), "v1", tmp_path / "out")


def test_a_repository_whose_remote_is_not_here_says_so(address, tmp_path):
    with pytest.raises(InputError, match="v1 cannot be checked out"):
        pull(address, "v1", tmp_path / "out")


def s3_objects(service, bucket):
    listed = boto3.client("s3", endpoint_url=service).list_objects_v2(Bucket=bucket)
    return [item["Key"] for item in listed.get("Contents", [])]


def test_a_bucket_is_a_remote_and_a_pod_needs_nothing_but_it_and_git(s3_service, bucket, tmp_path):
    config = CorpusConfig(remote_url=f"s3://{bucket}/toy", remote_endpoint_url=s3_service, shard_mb=0.04)
    corpus = CorpusRepository(tmp_path / "run/corpus", config)
    first = corpus.publish(curated(tmp_path / "one", NAMES[:4]))
    before = set(s3_objects(s3_service, bucket))
    corpus.publish(curated(tmp_path / "two", NAMES))
    added = set(s3_objects(s3_service, bucket)) - before
    assert len(added) == 1 + 3 + 1  # a shard, the tables that changed, a listing
    git(tmp_path, "clone", "-q", "--bare", str(corpus.folder), str(tmp_path / "git/corpus.git"))
    shutil.rmtree(tmp_path / "run")
    came = pull(str(tmp_path / "git/corpus.git"), "v1", tmp_path / "out")
    assert sha256_tree(tmp_path / "out") == came.version.content_sha256 == first.content_sha256
    assert (came.version.remote_url, came.files) == (f"s3://{bucket}/toy", 16)


def test_no_secret_is_written(s3_service, bucket, tmp_path):
    config = CorpusConfig(remote_url=f"s3://{bucket}/toy", remote_endpoint_url=s3_service)
    CorpusRepository(tmp_path / "run/corpus", config).publish(curated(tmp_path / "one", NAMES[:1]))
    written = [path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert not [content for content in written if b"the-secret" in content or b"the-key" in content]


def test_a_bucket_that_cannot_be_written_makes_no_version(s3_service, bucket, tmp_path):
    config = CorpusConfig(remote_url="s3://no-such-bucket/toy", remote_endpoint_url=s3_service)
    corpus = CorpusRepository(tmp_path / "run/corpus", config)
    with pytest.raises(InputError, match="s3://no-such-bucket/toy cannot be written"):
        corpus.publish(curated(tmp_path / "one", NAMES[:1]))
    assert corpus.versions() == []
    mended = CorpusConfig(remote_url=f"s3://{bucket}/toy", remote_endpoint_url=s3_service)
    assert (
        CorpusRepository(tmp_path / "run/corpus", mended).publish(curated(tmp_path / "one", NAMES[:1])).version == "v1"
    )


def test_a_purge_reaches_the_bucket(s3_service, bucket, tmp_path):
    from nava.data.corpus.forget import forget

    config = CorpusConfig(remote_url=f"s3://{bucket}/toy", remote_endpoint_url=s3_service, shard_mb=0.04)
    CorpusRepository(tmp_path / "run/corpus", config).publish(curated(tmp_path / "one", NAMES[:4]))
    before = set(s3_objects(s3_service, bucket))
    report = forget(tmp_path / "run/corpus", "s01.mp4", "asked", config, purge=True)
    gone = before - set(s3_objects(s3_service, bucket))
    assert (
        len(gone) == len(report.purged["v1"]) == 1 + 3
    )  # its shard and the tables that name it; nothing was dropped, so that table is shared
