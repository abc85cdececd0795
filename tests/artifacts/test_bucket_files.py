"""Files of a bucket, kept here as long as the bucket has the same."""

import json
import os
from pathlib import Path
from typing import Any

import fsspec
import pytest

from nava.artifacts.bucket_files import BucketFile, bucket_file, bucket_names
from nava.runtime.errors import InputError, UnavailableError


@pytest.fixture
def address(tmp_path: Path) -> str:
    """Of a file in a bucket that is a folder."""
    (tmp_path / "bucket" / "sub").mkdir(parents=True)
    (tmp_path / "bucket" / "m.pth").write_bytes(b"weights")
    return f"file://{tmp_path}/bucket/m.pth"


def fetched(address: str, folder: Path) -> Path:
    found = bucket_file(address)
    assert found is not None
    return found.fetch(folder)


def test_what_a_bucket_says_of_a_file_is_kept_beside_it(tmp_path: Path, address: str) -> None:
    path = fetched(address, tmp_path / "here")
    assert path == tmp_path / "here" / "m.pth"
    assert path.read_bytes() == b"weights"
    said = json.loads((tmp_path / "here" / "m.pth.source.json").read_text())
    changed = (tmp_path / "bucket" / "m.pth").stat().st_mtime
    assert said == {"address": address, "size_here": 7, "version": {"size": "7", "mtime": str(changed)}}


def test_the_same_version_is_not_fetched_again(tmp_path: Path, address: str) -> None:
    path = fetched(address, tmp_path / "here")
    before = path.stat().st_ino
    assert fetched(address, tmp_path / "here") == path
    assert path.stat().st_ino == before


@pytest.mark.parametrize("harm", ["changed there", "cut short here", "no record", "torn record", "another address"])
def test_it_is_fetched_again(tmp_path: Path, address: str, harm: str) -> None:
    path = fetched(address, tmp_path / "here")
    source, record = tmp_path / "bucket" / "m.pth", path.with_name("m.pth.source.json")
    content = b"weights"
    if harm == "changed there":
        content = b"WEIGHTS"
        source.write_bytes(content)
        os.utime(source, ns=(0, 10**18))
    elif harm == "cut short here":
        path.write_bytes(b"wei")
    elif harm == "no record":
        record.unlink()
    elif harm == "torn record":
        record.write_text('{"addr')
    else:
        record.write_text(record.read_text().replace("bucket", "basket"))
    before = path.stat().st_ino
    # The old file stays open, so that its number is not given to the new one.
    with path.open("rb"):
        assert fetched(address, tmp_path / "here").read_bytes() == content
        assert path.stat().st_ino != before


@pytest.mark.parametrize(
    ("info", "version"),
    [
        ({"ETag": '"ab"', "LastModified": "june", "size": 3}, {"size": "3", "ETag": '"ab"'}),
        ({"size": 3, "mtime": 5.5, "created": 6}, {"size": "3", "mtime": "5.5"}),
        ({"size": 3, "name": "m"}, {"size": "3"}),
        ({"size": None, "Last-Modified": "june"}, {"Last-Modified": "june"}),
        ({}, {}),
    ],
)
def test_the_surest_sign_of_a_version(
    monkeypatch: pytest.MonkeyPatch, info: dict[str, Any], version: dict[str, str]
) -> None:
    monkeypatch.setattr(fsspec.filesystem("memory"), "info", lambda path: info)
    found = bucket_file("memory://somewhere/m.pth")
    assert found == BucketFile("memory://somewhere/m.pth", info.get("size"), version)


def test_what_has_no_version_is_fetched_every_time(tmp_path: Path, address: str) -> None:
    unknown = BucketFile(address, None, {})
    path = unknown.fetch(tmp_path / "here")
    (tmp_path / "bucket" / "m.pth").write_bytes(b"WEIGHTS")
    assert unknown.fetch(tmp_path / "here") == path
    assert path.read_bytes() == b"WEIGHTS"


def test_a_file_that_does_not_come_whole_is_fetched_again_and_then_refused(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nava.artifacts.store_faults.FIRST_WAIT_S", 0.0)
    with pytest.raises(UnavailableError, match=r"m\.pth came with 7 of its 9 bytes: try again \(5 attempts\)"):
        BucketFile(address, 9, {"size": "9"}).fetch(tmp_path / "here")
    assert list((tmp_path / "here").iterdir()) == []


def test_folders_and_nothing_are_no_files(tmp_path: Path, address: str) -> None:
    folder = address.rpartition("/")[0]
    assert bucket_file(folder) is None
    assert bucket_file(f"{folder}/other.pth") is None
    assert bucket_file(f"{address}/below.pth") is None
    assert bucket_names(folder) == ["m.pth"]
    assert bucket_names(f"{folder}/nowhere") == []


def test_a_store_that_denies_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: str) -> dict[str, Any]:
        raise PermissionError("Forbidden")

    monkeypatch.setattr(fsspec.filesystem("memory"), "info", denied)
    assert bucket_file("memory://somewhere/m.pth") is None


def test_a_store_that_cannot_be_asked_is_told_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=r"nope://b/m\.pth cannot be read: Protocol not known") as error:
        bucket_file("nope://b/m.pth")
    assert error.value.exit_code == 2

    def broken(path: str) -> dict[str, Any]:
        raise RuntimeError("first\nUnable to locate credentials")

    monkeypatch.setattr(fsspec.filesystem("memory"), "info", broken)
    with pytest.raises(InputError, match=r"^memory://b/m\.pth cannot be read: Unable to locate credentials$"):
        bucket_file("memory://b/m.pth")
    assert bucket_names("nope://b") == []
