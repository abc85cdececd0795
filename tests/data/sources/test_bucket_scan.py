import hashlib

import pytest

from nava.artifacts.source_manifest import IgnoreReason
from nava.data.media_root import media_root
from nava.data.sources.bucket import scan_bucket
from nava.runtime.errors import InputError
from tests.data.conftest import fill, put_s3

FILES = {
    "b/talk.mp4": b"film",
    "a.wav": b"sound",
    "a.vtt": b"WEBVTT\n",
    "orphan.vtt": b"WEBVTT\n",
    "notes.txt": b"x",
    ".hidden/c.mp4": b"x",
}
REASONS = {
    "orphan.vtt": IgnoreReason.SIDECAR_WITHOUT_MEDIA,
    "notes.txt": IgnoreReason.NOT_MEDIA,
    ".hidden/c.mp4": IgnoreReason.HIDDEN,
}


def check(scan):
    assert scan.media == ["a.wav", "b/talk.mp4"]
    assert scan.sidecars == {"a.wav": "a.vtt"}
    assert {item.path: item.reason for item in scan.ignored} == REASONS
    assert {name: scan.states[name].size_bytes for name in scan.media} == {"a.wav": 5, "b/talk.mp4": 4}


def test_objects_of_any_store_are_listed(memory_bucket):
    fill(memory_bucket, FILES)
    check(scan_bucket(media_root(memory_bucket)))


def test_objects_of_s3_come_with_their_etags(s3_bucket):
    put_s3(s3_bucket, FILES)
    scan = scan_bucket(media_root(s3_bucket))
    check(scan)
    # The etag of an object that was put in one part is the MD5 of its bytes.
    assert scan.states["a.wav"].version == hashlib.md5(b"sound").hexdigest()


def test_a_key_that_would_lead_out_is_listed_and_never_used(memory_bucket, monkeypatch):
    fill(memory_bucket, {"good.mp4": b"x"})
    root = media_root(memory_bucket)
    filesystem, base = root.filesystem()
    listed = {f"{base}/{name}": {"type": "file", "size": 1} for name in ("good.mp4", "a/../../b.mp4", "/etc.mp4")}
    monkeypatch.setattr(type(filesystem), "find", lambda self, path, detail: listed)
    scan = scan_bucket(root)
    assert scan.media == ["good.mp4"]
    assert {item.path: item.reason for item in scan.ignored} == {
        "a/../../b.mp4": IgnoreReason.PATH_OUTSIDE,
        "/etc.mp4": IgnoreReason.PATH_OUTSIDE,
    }


def test_a_longer_name_of_another_prefix_is_not_part_of_it(s3_bucket):
    put_s3(s3_bucket, {"good.mp4": b"x"})
    put_s3(s3_bucket.replace("/raw?", "/raw-private?"), {"secret.mp4": b"x"})
    scan = scan_bucket(media_root(s3_bucket))
    assert (scan.media, scan.ignored) == (["good.mp4"], [])


def test_markers_of_folders_are_no_entries(s3_bucket):
    put_s3(s3_bucket, {"b/": b"", "b/talk.mp4": b"film"})
    scan = scan_bucket(media_root(s3_bucket))
    assert (scan.media, scan.ignored) == (["b/talk.mp4"], [])


def test_an_empty_prefix_is_refused(memory_bucket, s3_bucket):
    fill(memory_bucket, {"x/a.mp4": b"x"})
    with pytest.raises(InputError, match="nothing lies below"):
        scan_bucket(media_root(f"{memory_bucket}/x/a.mp4"))
    with pytest.raises(InputError, match="nothing lies below"):
        scan_bucket(media_root(s3_bucket))


def test_a_bucket_that_is_not_there_is_a_clear_error(s3_bucket, s3_endpoint):
    with pytest.raises(InputError, match="s3://no-such-bucket-of-nava/raw"):
        scan_bucket(media_root("s3://no-such-bucket-of-nava/raw", s3_endpoint))


def test_a_store_that_denies_is_a_clear_error(s3_bucket, monkeypatch):
    root = media_root(s3_bucket)
    filesystem, _ = root.filesystem()

    def deny(self, path, detail):
        raise PermissionError("Access Denied")

    monkeypatch.setattr(type(filesystem), "find", deny)
    with pytest.raises(InputError, match=r"s3://media-\w+/raw cannot be read: Access Denied"):
        scan_bucket(root)
