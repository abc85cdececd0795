"""Finding published weights on this machine, or saying how to get them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

from nava.artifacts.weight_files import WEIGHT_FILES, WeightsMissing, fetch, locate, places, shard_map
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


def put(address: str, content: bytes) -> None:
    with fsspec.open(address, "wb") as file:
        file.write(content)


@pytest.fixture
def bucket() -> Iterator[str]:
    yield "memory://weights-of-a-test"
    fsspec.filesystem("memory").rm("/weights-of-a-test", recursive=True)


@pytest.mark.parametrize("place", ["", "/", "/Wan2.2_VAE.pth"])
def test_a_bucket_is_fetched_once_and_again_when_it_has_another_file(tmp_path: Path, bucket: str, place: str) -> None:
    put(f"{bucket}/Wan2.2_VAE.pth", b"from the bucket")
    path = locate(VAE, bucket + place, tmp_path)
    assert path.read_bytes() == b"from the bucket"
    inode = path.stat().st_ino
    assert locate(VAE, bucket + place, tmp_path) == path
    assert path.stat().st_ino == inode
    # As many bytes as before, so that the size does not tell.
    put(f"{bucket}/Wan2.2_VAE.pth", b"FROM THE BUCKET")
    assert locate(VAE, bucket + place, tmp_path).read_bytes() == b"FROM THE BUCKET"
    path.write_bytes(b"cut sh")
    assert locate(VAE, bucket + place, tmp_path).read_bytes() == b"FROM THE BUCKET"


def test_addresses_with_the_same_file_name_do_not_share_a_file(tmp_path: Path, bucket: str) -> None:
    put(f"{bucket}/june/Wan2.2_VAE.pth", b"june")
    put(f"{bucket}/july/Wan2.2_VAE.pth", b"july")
    june, july = (locate(VAE, f"{bucket}/{month}", tmp_path) for month in ("june", "july"))
    assert june != july
    assert (june.read_bytes(), july.read_bytes()) == (b"june", b"july")
    assert june.name == july.name == "Wan2.2_VAE.pth"


def test_a_mirror_of_the_hub_in_a_bucket(tmp_path: Path, bucket: str) -> None:
    tokenizer = WEIGHT_FILES["umt5_tokenizer"]
    put(f"{bucket}/hub/{VAE.repository}/{VAE.file}", b"vae")
    put(f"{bucket}/hub/{tokenizer.repository}/{tokenizer.file}", b"{}")
    assert locate(VAE, f"{bucket}/hub", tmp_path).read_bytes() == b"vae"
    assert locate(tokenizer, f"{bucket}/hub", tmp_path).name == "tokenizer.json"
    assert locate(tokenizer, f"{bucket}/hub/{tokenizer.repository}", tmp_path).read_bytes() == b"{}"


@pytest.mark.parametrize("name", ["june.safetensors", "june.pth", "june.ckpt", "june.pt", "june.onnx"])
def test_the_address_of_a_file_is_that_file_whatever_it_is_called(tmp_path: Path, bucket: str, name: str) -> None:
    put(f"{bucket}/{name}", b"june")
    put(f"{bucket}/{VAE.file}", b"another")
    assert locate(VAE, f"{bucket}/{name}", tmp_path).read_bytes() == b"june"
    with pytest.raises(WeightsMissing, match="july"):
        locate(VAE, f"{bucket}/{name}".replace("june", "july"), tmp_path)


def test_a_bucket_without_the_file_or_without_a_cache(tmp_path: Path, bucket: str) -> None:
    with pytest.raises(WeightsMissing, match="memory://empty"):
        locate(VAE, "memory://empty", tmp_path)
    put(f"{bucket}/{VAE.file}", b"vae")
    with pytest.raises(InputError, match="in which folder"):
        locate(VAE, bucket)


WAN = WEIGHT_FILES["wan_ti2v_5b"]


def index_text(**weight_map: str) -> bytes:
    return json.dumps({"weight_map": weight_map}).encode()


def test_a_link_of_a_hub_cache_keeps_its_name_beside_the_shards(tmp_path: Path) -> None:
    blob = written(tmp_path / "models--Wan-AI--Wan2.2-TI2V-5B" / "blobs" / "0123", b"{}")
    link = tmp_path / "models--Wan-AI--Wan2.2-TI2V-5B" / "snapshots" / "abcd" / WAN.file
    link.parent.mkdir(parents=True)
    link.symlink_to(blob)
    assert locate(WAN, tmp_path) == link


def hub_cache(folder: Path, *revisions: str) -> Path:
    """A cache of the hub's client with a file per revision, the first the oldest."""
    repository = folder / "models--Wan-AI--Wan2.2-TI2V-5B"
    for age, revision in enumerate(revisions):
        written(repository / "snapshots" / revision / VAE.file, revision.encode())
        os.utime(repository / "snapshots" / revision, ns=(0, (age + 1) * 10**18))
    return repository


def test_the_revision_of_a_hub_cache_is_that_of_main(tmp_path: Path) -> None:
    repository = hub_cache(tmp_path, "cc", "aa", "bb")
    assert [Path(place.name).parent.name for place in places(VAE, tmp_path)] == ["bb", "aa", "cc"]
    written(repository / "refs" / "main", b"aa\n")
    assert [Path(place.name).parent.name for place in places(VAE, tmp_path)] == ["aa", "bb", "cc"]
    assert locate(VAE, tmp_path).read_bytes() == b"aa"
    (repository / "snapshots" / "aa" / VAE.file).unlink()
    assert locate(VAE, tmp_path).read_bytes() == b"bb"


@pytest.mark.parametrize("main", [b"", b"../../elsewhere", b"dd", b"\xff"])
def test_a_main_that_names_no_revision_leaves_the_newest(tmp_path: Path, main: bytes) -> None:
    written(hub_cache(tmp_path, "cc", "aa") / "refs" / "main", main)
    written(tmp_path / "elsewhere" / VAE.file)
    assert locate(VAE, tmp_path).read_bytes() == b"aa"


def test_a_file_that_is_linked_twice_is_one_place(tmp_path: Path) -> None:
    repository = hub_cache(tmp_path, "aa")
    link = repository / "snapshots" / "bb" / VAE.file
    link.parent.mkdir()
    link.symlink_to(repository / "snapshots" / "aa" / VAE.file)
    assert len(list(places(VAE, tmp_path))) == 1


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


@pytest.mark.parametrize("given", ["", "/diffusion_pytorch_model.safetensors.index.json"])
def test_an_index_in_a_bucket_brings_its_shards(tmp_path: Path, bucket: str, given: str) -> None:
    put(f"{bucket}/{WAN.file}", index_text(a="w-1.safetensors", b="w-2.safetensors"))
    put(f"{bucket}/w-1.safetensors", b"1")
    with pytest.raises(InputError, match=r"w-2\.safetensors is missing: copy it beside its index"):
        locate(WAN, bucket + given, tmp_path)
    put(f"{bucket}/w-2.safetensors", b"22")
    index = locate(WAN, bucket + given, tmp_path)
    assert index.name == WAN.file
    assert (index.parent / "w-1.safetensors").read_bytes() == b"1"
    assert (index.parent / "w-2.safetensors").read_bytes() == b"22"
    put(f"{bucket}/w-1.safetensors", b"3")
    assert locate(WAN, bucket + given, tmp_path) == index
    assert (index.parent / "w-1.safetensors").read_bytes() == b"3"


@pytest.mark.parametrize("place", ["", "hub/ernie-research/NAVA/"])
def test_weights_that_were_split_into_shards_are_found_by_their_index(tmp_path: Path, bucket: str, place: str) -> None:
    nava, text = WEIGHT_FILES["nava"], index_text(a="NAVA-1.safetensors")
    path = written(tmp_path / place / "NAVA.safetensors.index.json", text)
    put(f"{bucket}/{place}NAVA.safetensors.index.json", text)
    put(f"{bucket}/{place}NAVA-1.safetensors", b"1")
    top = place.partition("/")[0]
    assert locate(nava, tmp_path / top) == path
    index = locate(nava, f"{bucket}/{top}", tmp_path / "cache")
    assert (index.parent / "NAVA-1.safetensors").read_bytes() == b"1"
    whole = written(path.with_name("NAVA.safetensors"))
    assert locate(nava, tmp_path / top) == whole


def test_a_file_of_a_bucket_that_is_named_outright(tmp_path: Path, bucket: str) -> None:
    put(f"{bucket}/june.bin", b"june")
    assert fetch(f"{bucket}/june.bin", tmp_path).read_bytes() == b"june"
    with pytest.raises(InputError, match=r"there is no file at .*july\.bin"):
        fetch(f"{bucket}/july.bin", tmp_path)
    with pytest.raises(InputError, match="in which folder"):
        fetch(f"{bucket}/june.bin", None)
