"""The whole way on S3, small: curate from a bucket, version to one, pull from it, train from one."""

import shutil
from pathlib import Path

import boto3
import pytest

from nava.artifacts.clip_manifest import count_statuses, read_clips
from nava.config.annotation import AnnotationConfig
from nava.config.conditioning import ConditioningConfig
from nava.config.corpus import CorpusConfig
from nava.config.curation import CurationConfig, ExecutionConfig
from nava.config.encoding import EncodingConfig
from nava.config.latents import LatentsConfig
from nava.config.source import SourceConfig
from nava.config.speech import SpeechConfig
from nava.data.corpus.pull import pull
from nava.data.corpus.repository import publish
from nava.data.curation.folder import FolderCuration
from nava.data.curation.plan import CurationPlan
from nava.data.encoding import Encoding, encode_clips
from nava.data.loader.cache import ShardCache
from nava.data.shard_set import upload_set
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_tree
from nava.runtime.progress import Progress
from tests.data.corpus.corpus_repositories import git
from tests.data.curation.conftest import draw_flash, write_media
from tests.data.curation.test_curate import film
from tests.s3.buckets import check_batches, check_media, object_hashes, put_folder


@pytest.fixture
def media(tmp_path: Path) -> Path:
    root = tmp_path / "media"
    write_media(root / "one.mp4", *film(1, 2))
    write_media(root / "deep/two.wav", audio=draw_flash(seconds=5, seed=40)[1])
    (root / "broken.mp4").write_bytes(b"no film" * 99)
    return root


def curate(address: str, endpoint_url: str, out: Path) -> None:
    config = CurationConfig(heldout_share=0.0, execution=ExecutionConfig(workers=1))
    plan = CurationPlan(config, SpeechConfig(), AnnotationConfig())
    FolderCuration(plan, out, Progress()).run(SourceConfig(uri=address, endpoint_url=endpoint_url))


def test_from_a_bucket_to_batches_of_training(
    media: Path, bucket: str, s3_service: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh_clients: None
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_service)
    put = put_folder(media, bucket, "raw")
    curate(f"s3://{bucket}/raw", s3_service, tmp_path / "corpus")
    rows = read_clips(tmp_path / "corpus").to_pylist()
    assert {row["src_path"]: row["src_sha256"] for row in rows} == put
    assert count_statuses(rows)["kept"] >= 3
    assert check_media(tmp_path / "corpus") >= 6

    remote = {"remote_url": f"s3://{bucket}/corpora", "remote_endpoint_url": s3_service}
    version = publish(tmp_path / "repository", tmp_path / "corpus", CorpusConfig(**remote))
    git(tmp_path, "clone", "-q", "--bare", str(tmp_path / "repository"), str(tmp_path / "left.git"))
    shutil.rmtree(tmp_path / "repository")  # with DVC's cache: the bucket alone has the media now
    pulled = pull(str(tmp_path / "left.git"), version.version, tmp_path / "pulled").folder
    assert sha256_tree(pulled) == version.content_sha256
    assert check_media(pulled) == check_media(tmp_path / "corpus")

    encoding = Encoding(LatentsConfig(), ConditioningConfig(), EncodingConfig(), 0, Progress(), print)
    encode_clips(pulled, tmp_path / "latents", encoding)
    upload_set(tmp_path / "latents", f"s3://{bucket}/latents")
    there = object_hashes(bucket, "latents")
    assert there
    cache = ShardCache(tmp_path / "cache", 10**8)
    assert len(check_batches(f"s3://{bucket}/latents", cache, tmp_path / "latents", 8)) >= 3


def test_a_bucket_that_is_not_there_is_named(s3_service: str, bucket: str, tmp_path: Path, fresh_clients: None) -> None:
    with pytest.raises(InputError, match="s3://no-such-bucket/raw"):
        curate("s3://no-such-bucket/raw", s3_service, tmp_path / "corpus")
    boto3.client("s3", endpoint_url=s3_service).put_object(Bucket=bucket, Key="other/x.txt", Body=b"x")
    with pytest.raises(InputError, match=f"s3://{bucket}/raw"):
        curate(f"s3://{bucket}/raw", s3_service, tmp_path / "corpus")
