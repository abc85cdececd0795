"""Exported tar files, read by tarfile and by the library they are for."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from nava.data.loader.webdataset import export_webdataset
from nava.data.shards import LatentShards
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file
from nava.runtime.storage import read_json
from tests.data.test_shards import write_set

CLIPS = {"a": "av", "b": "av", "c": "av", "h1": "av", "s1": "audio", "s2": "audio"}


@pytest.fixture
def shards(tmp_path: Path) -> LatentShards:
    return LatentShards(write_set(tmp_path / "set", CLIPS, voices={"s2": (1, 4)}))


def read_tar(path: Path) -> dict[str, dict[str, object]]:
    """Samples by key, as the format means it: what is before the first dot."""
    samples: dict[str, dict[str, object]] = {}
    with tarfile.open(path) as tar:
        for info in tar:
            key, _, name = info.name.partition(".")
            data = tar.extractfile(info).read()
            value = json.loads(data) if name == "json" else np.load(io.BytesIO(data), allow_pickle=False)
            samples.setdefault(key, {})[name] = value
    return samples


def test_every_clip_is_exported_with_its_latents(shards: LatentShards, tmp_path: Path) -> None:
    tars = export_webdataset(shards, tmp_path / "tars")
    found: dict[str, dict[str, object]] = {}
    for tar in tars:
        samples = read_tar(tmp_path / "tars" / tar.file)
        assert len(samples) == tar.clips
        assert {sample["json"]["bucket"] for sample in samples.values()} == {tar.bucket}
        assert {sample["json"]["split"] for sample in samples.values()} == {tar.split}
        found |= samples
    assert found.keys() == CLIPS.keys()
    for clip_id, sample in found.items():
        batch = shards.read([clip_id])
        assert np.array_equal(sample["audio.npy"], batch.audio_BLC[0].numpy())
        assert np.array_equal(sample["text.npy"], batch.text_BND[0].numpy())
        assert ("video.npy" in sample) == (CLIPS[clip_id] == "av")
        assert "video.npy" not in sample or np.array_equal(sample["video.npy"], batch.video_BCTHW[0].numpy())
        assert sample["json"]["caption"] == f"caption of {clip_id}"
    assert found["s2"]["voice.npy"].shape == (2, 3)
    assert found["s2"]["json"]["voice_slots"] == [1, 4]
    assert "voice.npy" not in found["s1"]


def test_the_listing_names_every_tar_and_its_hash(shards: LatentShards, tmp_path: Path) -> None:
    export_webdataset(shards, tmp_path / "tars")
    listing = read_json(tmp_path / "tars" / "tars.json")
    assert listing["schema_version"] == 1
    assert {tar["file"] for tar in listing["tars"]} == {path.name for path in (tmp_path / "tars").glob("*.tar")}
    for tar in listing["tars"]:
        assert sha256_file(tmp_path / "tars" / tar["file"]) == tar["sha256"]


def test_two_exports_are_equal_and_one_split_is_enough(shards: LatentShards, tmp_path: Path) -> None:
    first, second = (export_webdataset(shards, tmp_path / name) for name in ("one", "two"))
    assert first == second
    heldout = export_webdataset(shards, tmp_path / "heldout", "heldout")
    assert [tar.file for tar in heldout] == [tar.file for tar in first if tar.split == "heldout"]
    with pytest.raises(InputError, match="no clip of split test to export"):
        export_webdataset(shards, tmp_path / "none", "test")


def test_half_precision_is_exported_as_float32(tmp_path: Path) -> None:
    shards = LatentShards(write_set(tmp_path / "set", {"a": "audio"}, dtype=torch.bfloat16))
    (tar,) = export_webdataset(shards, tmp_path)
    (sample,) = read_tar(tmp_path / tar.file).values()
    assert sample["audio.npy"].dtype == np.float32


@pytest.mark.parametrize("clip_id", ["a.b", "a/b"])
def test_an_id_that_would_break_a_member_s_name_is_refused(tmp_path: Path, clip_id: str) -> None:
    shards = LatentShards(write_set(tmp_path / "set", {clip_id: "audio"}))
    with pytest.raises(InputError, match="it has a dot or a slash"):
        export_webdataset(shards, tmp_path)
    assert not list(tmp_path.glob("*.tar"))


def test_the_library_reads_what_was_exported(shards: LatentShards, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    tars = export_webdataset(shards, tmp_path / "tars")
    files = [str(tmp_path / "tars" / tar.file) for tar in tars]
    samples = {sample["__key__"]: sample for sample in webdataset.WebDataset(files, shardshuffle=False).decode()}
    assert samples.keys() == CLIPS.keys()
    assert np.array_equal(samples["a"]["video.npy"], shards.read(["a"]).video_BCTHW[0].numpy())
    assert samples["s2"]["json"]["tags"] == ["flash"]
