"""Safetensors written one tensor at a time are what the library reads."""

import json
import shutil

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from nava.model.fp8 import FP8
from nava.model.weights.files import TensorInfo, open_weights
from nava.model.weights.writing import split, write_safetensors
from nava.runtime.errors import InputError

# Odd numbers of one-byte values beside wider ones: without care the wider ones would lie askew.
TENSORS = {
    "e": torch.tensor([[1.0, 2.0, 3.0]]).to(FP8),
    "a": torch.randn(3, 5, generator=torch.Generator().manual_seed(0)),
    "b": torch.tensor([0.5, 0.25, 8.0], dtype=torch.bfloat16),
    "s": torch.tensor(7.0),
    "empty": torch.zeros(0, 4),
    "view": torch.arange(6.0).reshape(2, 3).t(),
}
PLAN = {name: TensorInfo(tuple(tensor.shape), tensor.dtype) for name, tensor in TENSORS.items()}


def assert_same(found):
    assert set(found) == set(TENSORS)
    for name, tensor in TENSORS.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name].float(), tensor.float()), name


def test_the_library_reads_what_was_written_in_any_order(tmp_path):
    path = tmp_path / "m.safetensors"
    assert write_safetensors(path, PLAN, reversed(TENSORS.items())) == path
    assert_same(load_file(path))
    with safe_open(path, "pt") as opened:
        assert opened.metadata() == {"format": "pt"}
    assert [file.name for file in tmp_path.iterdir()] == ["m.safetensors"]


def test_the_same_tensors_give_the_same_bytes(tmp_path):
    write_safetensors(tmp_path / "1", PLAN, TENSORS.items())
    write_safetensors(tmp_path / "2", PLAN, reversed(TENSORS.items()))
    assert (tmp_path / "1").read_bytes() == (tmp_path / "2").read_bytes()


def test_shards_and_their_index(tmp_path):
    index = write_safetensors(tmp_path / "m.safetensors", PLAN, TENSORS.items(), max_shard_bytes=40)
    assert index == tmp_path / "m.safetensors.index.json"
    value = json.loads(index.read_text())
    assert value["metadata"]["total_size"] == 3 + 60 + 6 + 4 + 0 + 24
    files = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert files == [f"m-{number:05}-of-00003.safetensors" for number in range(1, 4)]
    found = {}
    for file in files:
        tensors = load_file(tmp_path / file)
        assert all(value["weight_map"][name] == file for name in tensors)
        found |= tensors
    assert_same(found)
    reader = open_weights(index)
    assert_same({name: reader.read(name) for name in reader.tensors})


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        (None, [["e", "a", "b", "s", "empty", "view"]]),
        (10**6, [["e", "a", "b", "s", "empty", "view"]]),
        (63, [["e", "a"], ["b", "s", "empty", "view"]]),
        # What is larger than the limit has a file to itself.
        (1, [["e"], ["a"], ["b"], ["s"], ["empty"], ["view"]]),
    ],
)
def test_shares(limit, expected):
    assert [list(shard) for shard in split(PLAN, limit)] == expected


@pytest.mark.parametrize("limit", [None, 40])
def test_nothing_is_left_of_a_write_that_fails(tmp_path, limit):
    def values():
        yield "a", TENSORS["a"]
        raise InputError("the source is damaged")

    with pytest.raises(InputError, match="damaged"):
        write_safetensors(tmp_path / "m.safetensors", PLAN, values(), limit)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(b"old")
    with pytest.raises(AssertionError, match="were not given"):
        write_safetensors(path, PLAN, [("a", TENSORS["a"])])
    assert path.read_bytes() == b"old"


@pytest.mark.parametrize(
    "wrong",
    [("a", torch.zeros(2)), ("a", torch.zeros(3, 5).half()), ("z", torch.zeros(1))],
    ids=["shape", "type", "name"],
)
def test_what_was_not_planned_is_a_fault(tmp_path, wrong):
    with pytest.raises((AssertionError, KeyError)):
        write_safetensors(tmp_path / "m", PLAN, [wrong])


def test_room_is_asked_for_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(InputError, match=r"would take 0\.0 GB, but .* has 0\.0 GB free"):
        write_safetensors(tmp_path / "new" / "m.safetensors", PLAN, TENSORS.items())
    assert not (tmp_path / "new").exists()
