"""Codec files: whatever was damaged, replaced or edited is refused with the file's name."""

import json
from pathlib import Path

import pytest
import torch

from nava.latents.codec_files import CodecFiles, codec_type, read_codec, write_codec
from nava.runtime.errors import InputError


@pytest.fixture
def files() -> CodecFiles:
    return CodecFiles("toy", {"channels": 2}, {"basis_CD": torch.arange(6.0).reshape(2, 3), "mean_D": torch.zeros(3)})


@pytest.fixture
def folder(files: CodecFiles, tmp_path: Path) -> Path:
    write_codec(tmp_path / "codec", files)
    return tmp_path / "codec"


def test_round_trip(folder: Path, files: CodecFiles) -> None:
    read = read_codec(folder, "toy")
    assert (read.type, read.settings, read.identity) == (files.type, files.settings, files.identity)
    assert torch.equal(read.tensors["basis_CD"], files.tensors["basis_CD"])
    assert codec_type(folder) == "toy"


def test_writing_twice_gives_the_same_bytes(folder: Path, files: CodecFiles, tmp_path: Path) -> None:
    write_codec(tmp_path / "again", files)
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_identity_depends_on_type_settings_and_weights(files: CodecFiles) -> None:
    changed = {name: tensor.clone() for name, tensor in files.tensors.items()}
    changed["mean_D"][0] = 1e-6
    others = [
        CodecFiles("other", files.settings, files.tensors),
        CodecFiles("toy", {"channels": 3}, files.tensors),
        CodecFiles("toy", files.settings, changed),
    ]
    assert len({files.identity, *(other.identity for other in others)}) == 4


def test_one_flipped_byte_of_the_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(InputError, match=r"model.safetensors have sha256.*damaged or was replaced"):
        read_codec(folder, "toy")


def test_edited_settings(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(path.read_text().replace('"channels": 2', '"channels": 3'))
    with pytest.raises(InputError, match=r"config.json was edited"):
        read_codec(folder, "toy")


def test_missing_files(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no codec in .*nowhere"):
        read_codec(tmp_path / "nowhere", "toy")
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="weights are missing"):
        read_codec(folder, "toy")


@pytest.mark.parametrize("text", ["", "not json", "[]", "{}"])
def test_a_config_that_is_none(folder: Path, text: str) -> None:
    (folder / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config.json is not a codec description"):
        codec_type(folder)


def test_an_incomplete_config_and_another_version(folder: Path) -> None:
    path = folder / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({"format_version": 1, "type": "toy"}))
    with pytest.raises(InputError, match="incomplete"):
        codec_type(folder)
    path.write_text(json.dumps(config | {"format_version": 2}))
    with pytest.raises(InputError, match="format version 2; this release reads version 1"):
        codec_type(folder)
