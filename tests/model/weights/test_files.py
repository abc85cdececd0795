"""Reading weight files of every form; refusing what is damaged, foreign or dangerous."""

import json
import os
import pickle

import fsspec
import pytest
import torch
from safetensors.torch import save_file

from nava.model.weights.files import find_weights, open_weights
from nava.runtime.errors import InputError

TENSORS = {
    "a.weight": torch.arange(6.0).reshape(2, 3),
    "b": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "c": torch.tensor(3.0),
}


def everything(reader):
    return {name: reader.read(name) for name in reader.tensors}


def assert_same(found, expected=TENSORS):
    assert set(found) == set(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name


def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert error.value.exit_code == 2
    return text


def shards(folder, **weight_map):
    save_file({"a.weight": TENSORS["a.weight"]}, folder / "m-1.safetensors")
    save_file({"b": TENSORS["b"], "c": TENSORS["c"]}, folder / "m-2.safetensors")
    listed = {"a.weight": "m-1.safetensors", "b": "m-2.safetensors", "c": "m-2.safetensors"} | weight_map
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": listed}))
    return path


def test_safetensors_whatever_the_file_is_called(tmp_path):
    save_file(TENSORS, tmp_path / "weights-of-june")
    reader = open_weights(tmp_path / "weights-of-june")
    assert reader.form == "safetensors"
    assert reader.tensors["a.weight"] == ((2, 3), torch.float32)
    assert reader.tensors["c"] == ((), torch.float32)
    assert_same(everything(reader))


def test_eight_bit_values_come_as_they_are(tmp_path):
    weight = torch.tensor([[1.0, -448.0]]).to(torch.float8_e4m3fn)
    save_file({"w": weight}, tmp_path / "w.safetensors")
    read = open_weights(tmp_path / "w.safetensors").read("w")
    assert read.dtype == torch.float8_e4m3fn
    assert torch.equal(read.float(), weight.float())


def test_shards_by_their_index_or_their_folder(tmp_path):
    index = shards(tmp_path)
    for path in (index, tmp_path):
        reader = open_weights(path)
        assert reader.form == "sharded safetensors"
        assert_same(everything(reader))


@pytest.mark.parametrize("wrap", [lambda state: {"state_dict": state, "global_step": 7}, lambda state: state])
def test_torch_files_with_and_without_a_state_dict_in_them(tmp_path, wrap):
    torch.save(wrap(TENSORS), tmp_path / "old.ckpt")
    reader = open_weights(tmp_path / "old.ckpt")
    assert reader.form == "torch file"
    assert_same(everything(reader))


def test_a_torch_file_is_mapped_anew_without_a_change(tmp_path, monkeypatch):
    monkeypatch.setattr("nava.model.weights.files._REMAP_BYTES", 8)
    torch.save(TENSORS, tmp_path / "old.ckpt")
    reader = open_weights(tmp_path / "old.ckpt")
    assert_same(everything(reader))
    assert_same(everything(reader))


def test_what_was_read_is_not_the_file(tmp_path):
    torch.save({"a": torch.zeros(4)}, tmp_path / "old.ckpt")
    reader = open_weights(tmp_path / "old.ckpt")
    reader.read("a").fill_(1)
    assert not reader.read("a").any()


def test_views_in_a_torch_file_are_read_as_their_values(tmp_path):
    torch.save({"t": torch.arange(6.0).reshape(2, 3).t()}, tmp_path / "old.pth")
    tensor = open_weights(tmp_path / "old.pth").read("t")
    assert tensor.is_contiguous()
    assert tensor.tolist() == [[0, 3], [1, 4], [2, 5]]


def test_a_folder_with_one_file_of_any_name(tmp_path):
    save_file(TENSORS, tmp_path / "june.safetensors")
    assert_same(everything(open_weights(tmp_path)))
    save_file(TENSORS, tmp_path / "july.safetensors")
    with pytest.raises(InputError, match=r"several weight files \(july.safetensors, june.safetensors\)"):
        open_weights(tmp_path)


def test_shards_without_their_index_are_not_a_model(tmp_path):
    save_file(TENSORS, tmp_path / "m-00002-of-00002.safetensors")
    with pytest.raises(InputError, match=r"m-00002-of-00002\.safetensors\) without their index") as error:
        open_weights(tmp_path)
    one_line(error)


def test_a_half_written_file_beside_a_whole_one_is_passed_over(tmp_path):
    for name in (".0123abcd.part.safetensors", ".0123abcd.part.json", "june.safetensors"):
        save_file(TENSORS, tmp_path / name)
    assert find_weights(tmp_path, ("nava",)) == tmp_path / "june.safetensors"


def test_the_transformer_of_a_diffusers_folder(tmp_path):
    (tmp_path / "transformer").mkdir()
    shards(tmp_path / "transformer")
    assert_same(everything(open_weights(tmp_path)))


@pytest.mark.parametrize("name", ["nowhere.safetensors", "empty"])
def test_nothing_there(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no weights") as error:
        open_weights(tmp_path / name)
    assert name in one_line(error)


def test_a_file_cut_short_names_the_tensor_it_ends_in(tmp_path):
    path = tmp_path / "m.safetensors"
    save_file({"first": torch.zeros(100), "second": torch.zeros(100)}, path)
    size = path.stat().st_size
    os.truncate(path, size - 10)
    with pytest.raises(InputError, match=f"cut short in tensor 'second' .{size - 10:,} of {size:,} bytes") as error:
        open_weights(path)
    assert str(path) in one_line(error)
    os.truncate(path, 20)
    with pytest.raises(InputError, match="cut short inside its header"):
        open_weights(path)


def test_a_torch_file_cut_short(tmp_path):
    path = tmp_path / "m.ckpt"
    torch.save({"state_dict": {"first": torch.zeros(1000)}}, path)
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(InputError, match="cut short") as error:
        open_weights(path)
    assert str(path) in one_line(error)


@pytest.mark.parametrize("content", [b"", b"RIFF1234WAVEfmt of something", b"\0" * 100])
def test_another_kind_of_file(tmp_path, content):
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="neither a safetensors nor a torch file") as error:
        open_weights(path)
    assert str(path) in one_line(error)


def test_a_header_whose_length_looks_like_a_pickle(tmp_path):
    # Names of every length, so that every low byte of the header's length comes up, 0x80 among them.
    lengths = set()
    for extra in range(0, 256, 8):
        path = tmp_path / "m.safetensors"
        save_file({"n" * (1 + extra): torch.ones(2)}, path)
        lengths.add(path.read_bytes()[0])
        assert open_weights(path).form == "safetensors"
    assert 0x80 in lengths


def test_a_header_that_is_none(tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes((30).to_bytes(8, "little") + b"{" + b"x" * 60)
    with pytest.raises(InputError, match="not a safetensors file that can be read") as error:
        open_weights(path)
    assert str(path) in one_line(error)


class Command:
    """What an attacker puts into a pickle."""

    def __reduce__(self):
        return os.system, ("touch ran",)


@pytest.mark.parametrize("how", ["zip", "old", "pickle 2", "pickle 4"])
def test_a_pickle_with_code_in_it_is_refused_unrun(tmp_path, monkeypatch, how):
    monkeypatch.chdir(tmp_path)
    path, marker = tmp_path / "m.ckpt", tmp_path / "ran"
    payload = {"state_dict": {"a": Command()}}
    if how.startswith("pickle"):
        path.write_bytes(pickle.dumps(payload, protocol=int(how[-1])))
    else:
        torch.save(payload, path, _use_new_zipfile_serialization=how == "zip")
    with pytest.raises(InputError) as error:
        open_weights(path)
    text = one_line(error)
    assert str(path) in text
    assert "code" in text
    assert "not opened" in text
    assert not marker.exists()


@pytest.mark.parametrize("value", [{"state_dict": {"a": torch.zeros(2), "step": 3}}, [torch.zeros(2)]])
def test_a_torch_file_of_something_else(tmp_path, value):
    torch.save(value, tmp_path / "m.ckpt")
    with pytest.raises(InputError, match="holds no tensors by name") as error:
        open_weights(tmp_path / "m.ckpt")
    one_line(error)


@pytest.mark.parametrize("shard", ["../m-1.safetensors", "/etc/passwd", "sub/m-1.safetensors", "", ".."])
def test_an_index_leads_nowhere_else(tmp_path, shard):
    with pytest.raises(InputError, match="does not lie beside it"):
        open_weights(shards(tmp_path, **{"a.weight": shard}))


def test_a_missing_shard_is_named(tmp_path):
    index = shards(tmp_path)
    (tmp_path / "m-2.safetensors").unlink()
    with pytest.raises(InputError, match=r"m-2\.safetensors is missing") as error:
        open_weights(index)
    one_line(error)


def test_shards_and_index_must_agree(tmp_path):
    index = shards(tmp_path, d="m-2.safetensors")
    with pytest.raises(InputError, match="disagree about the tensor 'd'"):
        open_weights(index)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"weight_map": []}', '{"weight_map": {}}'])
def test_an_index_that_is_none(tmp_path, text):
    path = tmp_path / "model.safetensors.index.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"is not an index|lists no tensor"):
        open_weights(path)


def test_weights_are_found_in_files_folders_and_mirrors(tmp_path):
    known = ("nava", "nava_fp8")
    mirror = tmp_path / "hub" / "ernie-research" / "NAVA"
    mirror.mkdir(parents=True)
    save_file(TENSORS, mirror / "NAVA_fp8.safetensors")
    assert find_weights(tmp_path / "hub", known) == mirror / "NAVA_fp8.safetensors"
    save_file(TENSORS, mirror / "NAVA.safetensors")
    # The first of those that are known is preferred.
    assert find_weights(tmp_path / "hub", known) == mirror / "NAVA.safetensors"
    assert find_weights(mirror / "NAVA_fp8.safetensors", known) == mirror / "NAVA_fp8.safetensors"
    assert find_weights(mirror, known) == mirror / "NAVA.safetensors"
    (tmp_path / "mine" / "transformer").mkdir(parents=True)
    save_file(TENSORS, tmp_path / "mine" / "transformer" / "june.safetensors")
    assert find_weights(tmp_path / "mine", known) == tmp_path / "mine" / "transformer" / "june.safetensors"


@pytest.fixture
def bucket(tmp_path):
    """Copies a local folder into a bucket and gives its address."""

    def put(folder):
        fsspec.filesystem("memory").put(str(folder), "/weights-of-nava", recursive=True)
        return "memory://weights-of-nava"

    yield put
    fsspec.filesystem("memory").rm("/weights-of-nava", recursive=True)


@pytest.mark.parametrize("name", ["NAVA.safetensors", "june.safetensors"])
@pytest.mark.parametrize("by_name", [True, False])
def test_weights_of_a_bucket_are_brought_here(tmp_path, bucket, name, by_name):
    (tmp_path / "here").mkdir()
    save_file(TENSORS, tmp_path / "here" / name)
    address = bucket(tmp_path / "here")
    found = find_weights(f"{address}/{name}" if by_name else address, ("nava",), tmp_path / "cache")
    assert (found.name, found.parents[1]) == (name, tmp_path / "cache")
    assert_same(everything(open_weights(found)))


@pytest.mark.parametrize("given", ["", "/", "/model.safetensors.index.json"])
def test_shards_of_a_bucket_are_brought_here(tmp_path, bucket, given):
    (tmp_path / "here").mkdir()
    shards(tmp_path / "here")
    found = find_weights(bucket(tmp_path / "here") + given, ("nava",), tmp_path / "cache")
    assert_same(everything(open_weights(found)))


def test_a_mirror_of_the_hub_in_a_bucket(tmp_path, bucket):
    mirror = tmp_path / "hub" / "ernie-research" / "NAVA"
    mirror.mkdir(parents=True)
    save_file(TENSORS, mirror / "NAVA_fp8.safetensors")
    found = find_weights(bucket(tmp_path / "hub"), ("nava", "nava_fp8"), tmp_path / "cache")
    assert_same(everything(open_weights(found)))


def test_a_published_file_among_others(tmp_path, bucket):
    (tmp_path / "all").mkdir()
    for name in ("NAVA_fp8.safetensors", "ltx-2.3-22b-dev_audio_vae.safetensors"):
        save_file({name: torch.ones(1)}, tmp_path / "all" / name)
    for location in (tmp_path / "all", bucket(tmp_path / "all")):
        found = find_weights(location, ("nava", "nava_fp8"), tmp_path / "cache")
        assert found.name == "NAVA_fp8.safetensors"


def test_nothing_in_a_bucket(tmp_path):
    for address in ("memory://no-such-bucket", "memory://no-such-bucket/june.safetensors"):
        with pytest.raises(InputError, match=rf"NAVA\.safetensors .* is not at '{address}'") as error:
            find_weights(address, ("nava", "nava_fp8"), tmp_path / "cache")
        one_line(error)


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_what_is_not_found_is_described(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"NAVA\.safetensors \(25\.2 GB, licence Apache-2\.0\) is not at") as error:
        find_weights(tmp_path / name, ("nava", "nava_fp8"))
    one_line(error)
