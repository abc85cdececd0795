"""Rows of a safetensors file straight into memory."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nava.data.shard_file import ShardFile, memory_of, stretches


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return {"a": torch.randn(5, 3, 2), "b": torch.arange(10).view(5, 2).bfloat16(), "c": torch.randn(7, 4)}


@pytest.fixture
def path(tmp_path: Path, tensors: dict[str, torch.Tensor]) -> Path:
    save_file(tensors, tmp_path / "shard", metadata={"any": "thing"})
    return tmp_path / "shard"


def test_rows_are_read_as_the_library_reads_them(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    file = ShardFile(path)
    for name, expected in tensors.items():
        assert file.tensors[name].dtype == expected.dtype
        assert torch.equal(file.read(name), expected)
        out = torch.empty_like(expected[:2])
        file.read_into(name, 3, memory_of(out))
        assert torch.equal(out, expected[3:5])


def test_a_removed_file_stays_readable_while_it_is_open(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    file = ShardFile(path)
    path.unlink()
    assert torch.equal(file.read("c"), tensors["c"])
    file.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        file.read("c")


@pytest.mark.parametrize(
    ("name", "first", "size", "problem"),
    [("a", 5, 24, "from row 5"), ("a", -1, 24, "from row -1"), ("x", 0, 24, "of x"), ("a", 0, 25, "no whole rows")],
)
def test_rows_that_are_not_there_are_refused(path: Path, name: str, first: int, size: int, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ShardFile(path).read_into(name, first, memoryview(bytearray(size)))


@pytest.mark.parametrize("kept", [0, 7, 60, -1])
def test_a_file_that_is_cut_short_is_refused(path: Path, kept: int) -> None:
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"cut short|does not lie within|Expecting|Unterminated"):
        ShardFile(path)


def test_a_file_that_shrinks_under_a_reader_is_told(path: Path) -> None:
    file = ShardFile(path)
    path.open("r+b").truncate(path.stat().st_size - 8)
    last = max(file.tensors, key=lambda name: file.tensors[name].start)
    with pytest.raises(OSError, match="the shard ends at byte"):
        file.read(last)


def test_what_is_no_safetensors_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"\xff" * 100)
    with pytest.raises(ValueError, match="no safetensors file"):
        ShardFile(tmp_path / "x")


def test_rows_that_follow_each_other_in_a_shard_are_one_stretch() -> None:
    places = [("a", 1), ("a", 2), ("b", 3), ("b", 3), ("b", 4), ("a", 5), ("a", 4)]
    assert list(stretches(places)) == [("a", 0, 1, 2), ("b", 2, 3, 1), ("b", 3, 3, 2), ("a", 5, 5, 1), ("a", 6, 4, 1)]
    assert list(stretches([])) == []
