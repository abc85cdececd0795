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


@pytest.mark.parametrize("value", [None, {}, {"file": "a"}, [1]])
def test_json_of_something_else(value: object) -> None:
    with pytest.raises(ValueError, match="has the fields file, sha256, size"):
        WeightReference.from_json(value)
