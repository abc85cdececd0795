"""References to weight files: they find the very same file again and refuse any other."""

from pathlib import Path

import pytest

from nava.artifacts.weight_files import WeightFile
from nava.artifacts.weight_reference import WeightReference
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_bytes

WEIGHT = WeightFile("sub/encoder.pth", "11 bytes", "MIT", "someone/encoder")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "mirror" / "someone" / "encoder" / "sub" / "encoder.pth"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"the weights")
    return path


def test_reference_of_a_file(path: Path) -> None:
    reference = WeightReference.of(WEIGHT, path)
    assert reference == WeightReference("sub/encoder.pth", sha256_bytes(b"the weights"), 11, "someone/encoder", "MIT")
    assert WeightReference.from_json(reference.to_json()) == reference


def test_it_finds_the_file_again(path: Path, tmp_path: Path) -> None:
    reference = WeightReference.of(WEIGHT, path)
    for location in (path, path.parent, path.parents[1], tmp_path / "mirror"):
        assert reference.resolve(location) == path


def test_a_missing_file_says_what_it_is(path: Path, tmp_path: Path) -> None:
    reference = WeightReference.of(WEIGHT, path)
    with pytest.raises(InputError, match=r"sub/encoder.pth \(0.0 MB, licence MIT\) is not at .*someone/encoder"):
        reference.resolve(tmp_path / "elsewhere")


def test_another_file_is_refused(path: Path) -> None:
    reference = WeightReference.of(WEIGHT, path)
    path.write_bytes(b"the weight")
    with pytest.raises(InputError, match=r"has 10 bytes, but sub/encoder.pth has 11: copy it again"):
        reference.resolve(path)
    path.write_bytes(b"THE WEIGHTS")
    with pytest.raises(InputError, match="it is damaged or another version"):
        reference.resolve(path)


def test_another_version_does_not_hide_the_one_that_is_wanted(path: Path, tmp_path: Path) -> None:
    reference = WeightReference.of(WEIGHT, path)
    for name, content in (("encoder.pth", b"other size"), ("sub/encoder.pth", b"THE WEIGHTS")):
        (tmp_path / "mirror" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "mirror" / name).write_bytes(content)
    assert reference.resolve(tmp_path / "mirror") == path
    path.unlink()
    with pytest.raises(InputError, match=r"mirror/sub/encoder\.pth has sha256 .* is wanted"):
        reference.resolve(tmp_path / "mirror")


def test_another_version_in_a_hub_cache(path: Path, tmp_path: Path) -> None:
    reference = WeightReference.of(WEIGHT, path)
    snapshots = tmp_path / "hub" / "models--someone--encoder" / "snapshots"
    for revision, content in (("aa", b"THE WEIGHTS"), ("bb", b"the weights"), ("cc", b"newer weights")):
        (snapshots / revision / "sub").mkdir(parents=True)
        (snapshots / revision / "sub" / "encoder.pth").write_bytes(content)
    assert reference.resolve(tmp_path / "hub") == snapshots / "bb" / "sub" / "encoder.pth"


def test_files_of_another_size_are_not_fetched_from_a_bucket(path: Path, tmp_path: Path) -> None:
    reference, cache = WeightReference.of(WEIGHT, path), tmp_path / "cache"
    (tmp_path / "mirror" / "encoder.pth").write_bytes(b"other size")
    found = reference.resolve(f"file://{tmp_path}/mirror", cache)
    assert found.read_bytes() == b"the weights"
    assert [file.read_bytes() for file in cache.rglob("*.pth")] == [b"the weights"]
    path.unlink()
    with pytest.raises(InputError, match=r"file://.*/mirror/encoder\.pth has 10 bytes, but sub/encoder.pth has 11"):
        reference.resolve(f"file://{tmp_path}/mirror", cache)


@pytest.mark.parametrize("value", [None, {}, {"file": "a"}, [1]])
def test_json_of_something_else(value: object) -> None:
    with pytest.raises(ValueError, match="has the fields file, sha256, size"):
        WeightReference.from_json(value)
