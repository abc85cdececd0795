"""The life of a corpus on a real S3 service, by the commands that a user types: OpenStack Swift's s3api.

The service and the credentials are named by the environment alone, as in a pod. `make swift` installs and runs it.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from nava.artifacts.clip_manifest import count_reasons, count_statuses, read_clips
from nava.artifacts.latent_shard import INDEX_FILE
from nava.config.composition import compose
from nava.data.loader.cache import ShardCache
from nava.data.shard_set import upload_set
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_tree
from nava.runtime.step import Step
from tests.data.corpus.corpus_repositories import git
from tests.s3.buckets import check_batches, check_media, object_hashes, put_folder
from tests.s3.swift_server import SwiftService, running

FOLDER = os.environ.get("NAVA_TEST_SWIFT", "")
pytestmark = [
    pytest.mark.swift,
    pytest.mark.skipif(not FOLDER, reason="NAVA_TEST_SWIFT names no folder with Swift in it: make swift"),
]
BUCKET = "corpus"
RECIPE = ["--recipe", "smoke"]
TRAINING = ["training.stage1.steps=4", "training.stage1.warmup_steps=1", "training.checkpoint_every_steps=4"]


@pytest.fixture(scope="module")
def swift() -> Iterator[SwiftService]:
    with running(Path(FOLDER)) as service:
        yield service


@pytest.fixture
def service(swift: SwiftService, monkeypatch: pytest.MonkeyPatch, fresh_clients: None) -> SwiftService:
    """The service as the environment of this process, too."""
    for name, value in swift.environment().items():
        monkeypatch.setenv(name, value)
    return swift


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one test leaves to the next: they follow each other as the steps of a user do."""
    return tmp_path_factory.mktemp("swift")


def nava(*arguments: str, code: int = 0, **changes: str) -> str:
    """A command in a process of its own; what it printed."""
    command = [sys.executable, "-m", "nava.cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **changes})
    assert done.returncode == code, done.stdout + done.stderr
    print("$ nava", *arguments, done.stdout + done.stderr, sep="\n" if done.stdout else " ")
    return done.stdout + done.stderr


def test_media_are_curated_from_the_bucket(service: SwiftService, work: Path) -> None:
    nava("data", "synthetic", *RECIPE, "--output", str(work / "generated"))
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    put = put_folder(work / "generated/media", BUCKET, "raw")
    print(f"{len(put)} files uploaded")
    assert object_hashes(BUCKET, "raw") == put
    nava("data", "curate", "--source", f"s3://{BUCKET}/raw", "--out", str(work / "curated"), *RECIPE)
    rows = read_clips(work / "curated").to_pylist()
    print(count_statuses(rows), count_reasons(rows))
    assert {row["src_sha256"] for row in rows} <= set(put.values())
    assert {row["src_path"] for row in rows} == {name for name in put if not name.endswith(".vtt")}
    assert check_media(work / "curated") >= 20


def test_the_corpus_is_versioned_to_the_bucket_and_pulled_from_it(service: SwiftService, work: Path) -> None:
    remote = f"corpus.remote_url=s3://{BUCKET}/corpora"
    repository = str(work / "repository")
    nava("data", "version", str(work / "curated"), "--repository", repository, *RECIPE, remote)
    git(work, "clone", "-q", "--bare", repository, str(work / "left.git"))
    # Neither the working copy nor DVC's cache is where the next command could find it.
    (work / "repository").rename(work / "gone")
    nava("data", "pull", "--repository", str(work / "left.git"), "--version", "v1", "--out", str(work / "pulled"))
    assert check_media(work / "pulled") == check_media(work / "curated")
    version = nava("data", "versions", "--repository", str(work / "gone"))
    assert sha256_tree(work / "pulled") in version


def test_training_reads_shards_of_the_bucket(service: SwiftService, work: Path) -> None:
    from nava.training.step import train

    nava("data", "encode", str(work / "pulled"), "--out", str(work / "latents"), *RECIPE, "encoding.clips_per_shard=8")
    address = f"s3://{BUCKET}/latents"
    names = upload_set(work / "latents", address)
    assert names[-1] == INDEX_FILE
    assert sorted(object_hashes(BUCKET, "latents")) == sorted(names)
    cache = work / "cache"
    seen = check_batches(address, ShardCache(cache, 10**9), work / "latents", 24)
    print(f"{len(seen)} clips in 24 micro-batches")
    resolved = compose("smoke", [*TRAINING, f"loader.cache_folder={work / 'fresh-cache'}"])
    step = Step("train", work / "run", "run", resolved.config, seed=0, key="0" * 64, workdir=work / "run/train")
    step.workdir.mkdir(parents=True)
    made = train(step, Handle("latent_shards", address, sha256_tree(work / "latents")), stage=1)
    print(made.meta)
    assert made.meta["steps"] == 4
    fetched = {path.name for path in (work / "fresh-cache").glob("??/*.safetensors")}
    assert fetched
    assert fetched <= {f"{sha256}.safetensors" for sha256 in object_hashes(BUCKET, "latents").values()}


def test_a_wrong_secret_is_said_in_a_line(service: SwiftService, work: Path, tmp_path: Path) -> None:
    """A store says why where its answer has a body: curation asks for a listing, a pull for the size of an object."""
    commands = {
        "signature we calculated does not match": ["curate", "--source", f"s3://{BUCKET}/raw", *RECIPE],
        "Forbidden": ["pull", "--repository", str(work / "left.git")],
    }
    for reason, command in commands.items():
        secret = {"AWS_SECRET_ACCESS_KEY": "not-the-secret"}
        said = nava("data", *command, "--out", str(tmp_path / "out"), code=2, **secret)
        assert f"s3://{BUCKET}/" in said
        assert reason in said
        assert "Traceback" not in said
        assert service.secret_key not in said


def test_a_wrong_secret_stops_the_loader_with_a_line(
    service: SwiftService, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nava.data.shards import LatentShards
    from nava.runtime.errors import InputError

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    with pytest.raises(InputError, match=f"s3://{BUCKET}/latents") as refused:
        LatentShards(f"s3://{BUCKET}/latents", ShardCache(tmp_path / "cache", 10**9))
    print(refused.value)
