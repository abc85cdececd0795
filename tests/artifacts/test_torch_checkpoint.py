"""Checkpoints of torch.save: tensors and nothing else, whole or not at all."""

import os
from pathlib import Path

import pytest
import torch

from nava.artifacts.torch_checkpoint import read_state_dict, read_torch_checkpoint
from nava.runtime.errors import InputError

TENSORS = {"a.weight": torch.arange(6.0).view(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)}


class Touch:
    """An object whose unpickling would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.mkdir, (str(self.path), 0o700)


@pytest.mark.parametrize("wrapped", [False, True])
def test_tensors_by_name(tmp_path: Path, wrapped: bool) -> None:
    path = tmp_path / "a.pth"
    torch.save({"state_dict": TENSORS, "global_step": 3} if wrapped else TENSORS, path)
    read = read_state_dict(path)
    assert list(read) == list(TENSORS)
    assert all(torch.equal(read[name], tensor) and read[name].dtype == tensor.dtype for name, tensor in TENSORS.items())


def test_the_tensors_are_mapped_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(TENSORS, path)
    maps = Path("/proc/self/maps")
    if not maps.is_file():
        pytest.skip("this system does not list the files that a process maps")
    assert str(path) not in maps.read_text()
    tensors = read_torch_checkpoint(path)
    assert str(path) in maps.read_text()
    del tensors
    assert str(path) not in maps.read_text()


def test_code_is_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "trace"
    torch.save({"a": torch.zeros(1), "b": Touch(trace)}, path)
    with pytest.raises(
        InputError, match="holds code or objects besides tensors, or is damaged, and is not opened"
    ) as caught:
        read_state_dict(path)
    assert not trace.exists()
    assert "\n" not in str(caught.value)


def test_files_from_before_archives(tmp_path: Path) -> None:
    path, trace = tmp_path / "old.pth", tmp_path / "trace"
    torch.save(TENSORS, path, _use_new_zipfile_serialization=False)
    read = read_state_dict(path)
    assert all(torch.equal(read[name], tensor) for name, tensor in TENSORS.items())
    torch.save({"a": torch.zeros(1), "b": Touch(trace)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match="holds code or objects besides tensors"):
        read_state_dict(path)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"hello", b"version https://git-lfs.github.com/spec/v1", b"\x80\x02"])
def test_a_file_of_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a PyTorch checkpoint, or it is cut short"):
        read_torch_checkpoint(path)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.pth is missing"):
        read_torch_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("kept", [0, 40, -30])
def test_a_file_cut_short(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "a.pth"
    torch.save(TENSORS, path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="cut short: copy it again"):
        read_torch_checkpoint(path)


def test_damage_inside(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(TENSORS, path)
    data = path.read_bytes()
    start = data.index(b"data.pkl") + 40
    path.write_bytes(data[:start] + bytes(60) + data[start + 60 :])
    with pytest.raises(InputError) as caught:
        read_torch_checkpoint(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("value", [[torch.ones(1)], {"a": 1}, torch.ones(2)])
def test_no_tensors_by_name(tmp_path: Path, value: object) -> None:
    path = tmp_path / "a.pth"
    torch.save(value, path)
    with pytest.raises(InputError, match="holds no tensors by name"):
        read_state_dict(path)
