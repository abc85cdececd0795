"""Finding published weights on this machine, or saying how to get them."""

import json
from pathlib import Path

import fsspec
import pytest

from nava.artifacts.weight_files import WEIGHT_FILES, WeightsMissing, locate, shard_map
from nava.runtime.errors import InputError

VAE = WEIGHT_FILES["wan_video_vae"]


def written(path: Path, content: bytes = b"weights") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "place",
    [
        "Wan2.2_VAE.pth",
        "Wan-AI/Wan2.2-TI2V-5B/Wan2.2_VAE.pth",
        "models--Wan-AI--Wan2.2-TI2V-5B/snapshots/0123abcd/Wan2.2_VAE.pth",
    ],
)
def test_folder_and_hub_mirrors(tmp_path: Path, place: str) -> None:
    path = written(tmp_path / place)
    assert locate(VAE, tmp_path) == path


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    path = written(tmp_path / "vae-of-june.pth")
    assert locate(VAE, str(path)) == path


def test_a_file_in_a_folder_of_its_repository(tmp_path: Path) -> None:
    path = written(tmp_path / "google" / "umt5-xxl" / "tokenizer.json")
    assert locate(WEIGHT_FILES["umt5_tokenizer"], tmp_path) == path
    assert locate(WEIGHT_FILES["umt5_tokenizer"], path.parent) == path


def test_what_is_missing_is_named_with_size_licence_and_origin(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing) as error:
        locate(VAE, tmp_path / "nowhere")
    text = str(error.value)
    for part in ("Wan2.2_VAE.pth", "2.8 GB", "Apache-2.0", "Wan-AI/Wan2.2-TI2V-5B", "nowhere"):
        assert part in text
    assert error.value.exit_code == 2


def test_an_export_says_how_it_is_made(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="TorchScript or ONNX"):
        locate(WEIGHT_FILES["redimnet"], tmp_path)


@pytest.mark.parametrize("address", ["memory://bucket/weights", "memory://bucket/weights/Wan2.2_VAE.pth"])
def test_a_bucket_is_fetched_once(tmp_path: Path, address: str) -> None:
    with fsspec.open("memory://bucket/weights/Wan2.2_VAE.pth", "wb") as file:
        file.write(b"from the bucket")
    path = locate(VAE, address, tmp_path)
    assert path.read_bytes() == b"from the bucket"
    path.write_bytes(b"kept as it is !")
    assert locate(VAE, address, tmp_path).read_bytes() == b"kept as it is !"
    path.write_bytes(b"cut sh")
    assert locate(VAE, address, tmp_path).read_bytes() == b"from the bucket"


def test_a_bucket_without_the_file_or_without_a_cache(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="memory://empty"):
        locate(VAE, "memory://empty", tmp_path)
    with pytest.raises(InputError, match="in which folder"):
        locate(VAE, "memory://bucket/weights")


WAN = WEIGHT_FILES["wan_ti2v_5b"]


def index_text(**weight_map: str) -> bytes:
    return json.dumps({"weight_map": weight_map}).encode()


def test_a_link_of_a_hub_cache_keeps_its_name_beside_the_shards(tmp_path: Path) -> None:
    blob = written(tmp_path / "models--Wan-AI--Wan2.2-TI2V-5B" / "blobs" / "0123", b"{}")
    link = tmp_path / "models--Wan-AI--Wan2.2-TI2V-5B" / "snapshots" / "abcd" / WAN.file
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    assert locate(WAN, tmp_path) == link


def test_shards_by_tensor(tmp_path: Path) -> None:
    path = written(tmp_path / "m.safetensors.index.json", index_text(a="m-1.safetensors", b="m-2.safetensors"))
    assert shard_map(path) == {"a": "m-1.safetensors", "b": "m-2.safetensors"}


@pytest.mark.parametrize("shard", ["../m.safetensors", "/m.safetensors", "sub/m.safetensors", "", ".", ".."])
def test_a_shard_elsewhere_is_refused(tmp_path: Path, shard: str) -> None:
    path = written(tmp_path / "m.safetensors.index.json", index_text(a=shard))
    with pytest.raises(InputError, match="does not lie beside it"):
        shard_map(path)


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"\xff", b'{"weight_map": 3}'])
def test_an_index_that_is_none_is_said(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(InputError, match="is not an index"):
        shard_map(written(tmp_path / "m.safetensors.index.json", text))


def test_an_index_in_a_bucket_brings_its_shards(tmp_path: Path) -> None:
    files = {WAN.file: index_text(a="w-1.safetensors", b="w-2.safetensors"), "w-1.safetensors": b"1"}
    for name, content in files.items():
        with fsspec.open(f"memory://wan/{name}", "wb") as file:
            file.write(content)
    with pytest.raises(WeightsMissing, match=r"w-2\.safetensors"):
        locate(WAN, "memory://wan", tmp_path)
    with fsspec.open("memory://wan/w-2.safetensors", "wb") as file:
        file.write(b"22")
    assert locate(WAN, "memory://wan", tmp_path) == tmp_path / WAN.file
    assert (tmp_path / "w-1.safetensors").read_bytes() == b"1"
    assert (tmp_path / "w-2.safetensors").read_bytes() == b"22"
