"""The index of latent shards and the checks of a shard against it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import save_file

from nava.artifacts.latent_shard import (
    INDEX_FILE,
    LatentEntry,
    bucket_name,
    read_index,
    sequence_length,
    verify_shard,
    video_tokens,
    write_index,
    write_reconstruction,
)
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file
from nava.runtime.storage import read_json

SHARD = "v2x1x1-a3/00000.safetensors"


@pytest.fixture
def entries(tmp_path: Path) -> list[LatentEntry]:
    """Two clips in one shard, written beneath ``tmp_path``."""
    path = tmp_path / SHARD
    path.parent.mkdir()
    tensors = {"video_BCTHW": (2, 4, 2, 1, 1), "audio_BLC": (2, 3, 5), "text_BND": (2, 6, 8)}
    save_file({name: np.ones(shape, np.float32) for name, shape in tensors.items()}, path)
    first = LatentEntry(
        clip_id="one",
        bucket="v2x1x1-a3",
        modality="av",
        split="train",
        shard=SHARD,
        row=0,
        shard_sha256=sha256_file(path),
        dtype="F32",
        video_shape=(4, 2, 1, 1),
        audio_shape=(3, 5),
        text_shape=(6, 8),
        seq_len=5,
        video_codec_id="v",
        audio_codec_id="a",
        text_encoder_id="t",
        caption="a red bar",
        dropped_words=0,
        tags=("flash", "tone"),
    )
    return [first, replace(first, clip_id="two", row=1, tags=())]


def test_index_round_trip(entries: list[LatentEntry], tmp_path: Path) -> None:
    sound = replace(entries[0], clip_id="zero", bucket="a3", shard="a3/00000.safetensors", video_shape=None, seq_len=3)
    write_index(tmp_path, [*reversed(entries), sound])
    assert read_index(tmp_path) == [sound, *entries]


def test_index_bytes_do_not_depend_on_the_order(entries: list[LatentEntry], tmp_path: Path) -> None:
    write_index(tmp_path, entries)
    first = (tmp_path / INDEX_FILE).read_bytes()
    write_index(tmp_path, entries[::-1])
    assert (tmp_path / INDEX_FILE).read_bytes() == first


def test_ids_must_not_repeat(entries: list[LatentEntry], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"repeat in the latent index: \['one'\]"):
        write_index(tmp_path, [entries[0], entries[0], entries[1]])
    assert not (tmp_path / INDEX_FILE).exists()


def test_missing_damaged_and_foreign_index(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"index\.parquet is missing; re-run the encode step"):
        read_index(tmp_path)
    (tmp_path / INDEX_FILE).write_bytes(b"PAR1 no more")
    with pytest.raises(InputError, match="is damaged"):
        read_index(tmp_path)
    pq.write_table(pa.table({"clip_id": ["x"]}), tmp_path / INDEX_FILE)
    with pytest.raises(InputError, match="not a latent index of version 2"):
        read_index(tmp_path)


def test_a_good_shard(entries: list[LatentEntry], tmp_path: Path) -> None:
    verify_shard(tmp_path / SHARD, entries)


def test_missing_shard(entries: list[LatentEntry], tmp_path: Path) -> None:
    (tmp_path / SHARD).unlink()
    with pytest.raises(InputError, match=rf"{SHARD} is damaged: it is missing; delete it"):
        verify_shard(tmp_path / SHARD, entries)


def test_changed_shard(entries: list[LatentEntry], tmp_path: Path) -> None:
    data = bytearray((tmp_path / SHARD).read_bytes())
    data[-3] ^= 4
    (tmp_path / SHARD).write_bytes(bytes(data))
    with pytest.raises(InputError, match=rf"{SHARD} is damaged: sha256 is"):
        verify_shard(tmp_path / SHARD, entries)


def test_a_file_that_is_no_safetensors(entries: list[LatentEntry], tmp_path: Path) -> None:
    (tmp_path / SHARD).write_bytes(b"garbage")
    same_hash = [replace(entry, shard_sha256=sha256_file(tmp_path / SHARD)) for entry in entries]
    with pytest.raises(InputError, match="is damaged"):
        verify_shard(tmp_path / SHARD, same_hash)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda entry: replace(entry, video_shape=(4, 3, 1, 1)), "the index says"),
        (lambda entry: replace(entry, video_shape=None), "the index says"),
        (lambda entry: replace(entry, audio_shape=(3, 6)), "the index says"),
        (lambda entry: replace(entry, dtype="F16"), "F16"),
        (lambda entry: replace(entry, row=0), "each of its rows once"),
        (lambda entry: replace(entry, bucket="a3"), "which its shapes do not fit"),
    ],
)
def test_an_index_that_does_not_fit_the_file(
    entries: list[LatentEntry], tmp_path: Path, change: Callable[[LatentEntry], LatentEntry], problem: str
) -> None:
    with pytest.raises(InputError, match=problem):
        verify_shard(tmp_path / SHARD, [change(entry) for entry in entries])


def test_voices_lie_one_after_the_other(entries: list[LatentEntry], tmp_path: Path) -> None:
    tensors = {"video_BCTHW": (2, 4, 2, 1, 1), "audio_BLC": (2, 3, 5), "text_BND": (2, 6, 8), "voice_SE": (3, 7)}
    save_file({name: np.ones(shape, np.float32) for name, shape in tensors.items()}, tmp_path / SHARD)
    shared = {"shard_sha256": sha256_file(tmp_path / SHARD), "timbre_encoder_id": "m", "voice_width": 7}
    voiced = [
        replace(entries[0], **shared, voice_slots=(1,)),
        replace(entries[1], **shared, voice_row=1, voice_slots=(0, 4), subsets=("stage1", "stage3")),
    ]
    verify_shard(tmp_path / SHARD, voiced)
    with pytest.raises(InputError, match="the index says"):
        verify_shard(tmp_path / SHARD, [replace(voiced[0], voice_slots=()), voiced[1]])
    write_index(tmp_path, voiced)
    assert read_index(tmp_path) == voiced


def test_rows_missing_from_the_index(entries: list[LatentEntry], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is damaged"):
        verify_shard(tmp_path / SHARD, entries[:1])


def test_bucket_names_and_lengths() -> None:
    assert bucket_name((48, 13, 4, 4), (52, 64)) == "v13x4x4-a52"
    assert bucket_name(None, (52, 64)) == "a52"


def test_lengths_count_patches_as_the_model_does() -> None:
    assert sequence_length((48, 13, 4, 4), (52, 64)) == 13 * 2 * 2 + 52
    assert sequence_length(None, (52, 64)) == 52
    assert video_tokens((48, 2, 5, 3)) == 2 * 3 * 2
    assert video_tokens(None) == 0


def test_the_reconstruction_file_has_a_version_and_nulls(tmp_path: Path) -> None:
    write_reconstruction(tmp_path, {"video": {"n": 0, "psnr_db": None}})
    assert read_json(tmp_path / "reconstruction.json") == {"schema_version": 2, "video": {"n": 0, "psnr_db": None}}
