import os
from pathlib import Path

import pytest

from nava.data.media_root import BucketRoot, FolderRoot, file_state, media_root, readable_folder
from nava.runtime.errors import InputError
from tests.data.conftest import fill


def test_a_path_a_file_uri_and_a_home_folder_are_the_same_root(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "media").mkdir()
    roots = [media_root(uri) for uri in (f"{tmp_path}/media", f"file://{tmp_path}/media", "~/media")]
    assert roots == [FolderRoot((tmp_path / "media").resolve())] * 3


def test_the_folder_itself_may_be_a_symlink(tmp_path):
    (tmp_path / "media").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "media")
    assert media_root(str(tmp_path / "link")).uri == str((tmp_path / "media").resolve())


@pytest.mark.parametrize(
    ("uri", "endpoint", "root"),
    [
        ("s3://bucket/media/", "", "s3://bucket/media"),
        ("s3://bucket/media", "http://host:9000", "s3://bucket/media?endpoint_url=http://host:9000"),
        ("s3://bucket/media?endpoint_url=https://one", "https://two", "s3://bucket/media?endpoint_url=https://one"),
        ("memory://a/b", "http://host:9000", "memory://a/b"),
    ],
)
def test_a_bucket_address_carries_its_endpoint(uri, endpoint, root):
    assert media_root(uri, endpoint) == BucketRoot(root)
    assert media_root(root) == BucketRoot(root), "an address is all that a worker needs"


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("memory://a?endpoint_url=http://host", "not of S3"),
        ("s3://a?endpoint_url=http://key:secret@host", "must not contain a password"),
        ("s3://a?endpoint_url=host:9000", "must be an address"),
        ("s3://a?endpoint_url=file:///etc", "must be an address"),
    ],
)
def test_a_wrong_endpoint_is_refused_without_telling_secrets(uri, message):
    with pytest.raises(InputError, match=message) as caught:
        media_root(uri)
    assert "secret" not in str(caught.value)


def test_the_state_of_a_file_changes_with_its_content_even_if_its_time_is_set_back(tmp_path):
    path = tmp_path / "a.wav"
    path.write_bytes(b"one")
    root = FolderRoot(tmp_path)
    before, times = root.state("a.wav"), path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert root.state("a.wav") != before
    assert root.state("a.wav").size_bytes == 3


def test_what_is_not_there_has_no_state(tmp_path, memory_bucket):
    fill(memory_bucket, {"folder/a.wav": b"x"})
    (tmp_path / "file").write_bytes(b"x")
    assert FolderRoot(tmp_path).state("gone.wav") is None
    assert FolderRoot(tmp_path).state("file/gone.wav") is None
    assert media_root(memory_bucket).state("gone.wav") is None
    assert media_root(memory_bucket).state("folder") is None


def test_an_object_put_again_has_another_state(memory_bucket):
    fill(memory_bucket, {"a.wav": b"one"})
    before = media_root(memory_bucket).state("a.wav")
    fill(memory_bucket, {"a.wav": b"two"})
    assert media_root(memory_bucket).state("a.wav") != before


def test_a_listing_and_a_question_tell_the_same_state(memory_bucket):
    fill(memory_bucket, {"a.wav": b"one"})
    root = media_root(memory_bucket)
    filesystem, base = root.filesystem()
    assert file_state(filesystem.find(base, detail=True)[f"{base}/a.wav"]) == root.state("a.wav")


def test_files_of_both_kinds_are_opened(tmp_path, memory_bucket):
    (tmp_path / "a.wav").write_bytes(b"sound")
    fill(memory_bucket, {"a.wav": b"sound"})
    for root in (FolderRoot(tmp_path), media_root(memory_bucket)):
        with root.open("a.wav") as file:
            assert file.read() == b"sound"
        with pytest.raises(InputError, match=r"gone\.wav cannot be read"), root.open("gone.wav"):
            pass


def test_an_unknown_protocol_is_a_clear_error():
    with pytest.raises(InputError, match=r"nosuchstore://a/b\.wav cannot be read"):
        media_root("nosuchstore://a").state("b.wav")


def test_a_folder_is_checked(tmp_path, monkeypatch):
    (tmp_path / "file.mp4").write_bytes(b"x")
    assert readable_folder(FolderRoot(tmp_path)) == tmp_path
    for name, message in (("gone", "does not exist"), ("file.mp4", "is not a folder")):
        with pytest.raises(InputError, match=message):
            readable_folder(FolderRoot(tmp_path / name))
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        readable_folder(FolderRoot(tmp_path))
