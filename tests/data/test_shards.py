"""Reading latents by id: order, modalities, memory, and files that went bad."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from nava.artifacts.latent_shard import LatentEntry, bucket_name, sequence_length, write_index
from nava.data.shards import LatentShards, plan_shards, shard_facts, write_shard
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file

VIDEO_SHAPE, AUDIO_SHAPE, TEXT_SHAPE = (4, 3, 2, 2), (5, 6), (7, 8)


def clip_tensors(clip_id: str, modality: str, audio_shape: tuple[int, int] = AUDIO_SHAPE) -> dict[str, Tensor]:
    """Tensors that say whose they are."""
    generator = torch.Generator().manual_seed(sum(map(ord, clip_id)))
    shapes = {"audio_BLC": audio_shape, "text_BND": TEXT_SHAPE}
    if modality == "av":
        shapes["video_BCTHW"] = VIDEO_SHAPE
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def voice_value(clip_id: str, number: int) -> float:
    """What the vector of a clip's voice is made of."""
    return ord(clip_id[0]) + number / 8


def write_set(
    folder: Path,
    modalities: dict[str, str],
    audio_shapes: dict[str, tuple[int, int]] | None = None,
    *,
    voices: dict[str, tuple[int, ...]] | None = None,
    dtype: torch.dtype = torch.float32,
) -> Path:
    """A set of shards of two clips each; ids that start with h are held out, voices have the given slots."""
    audio_shapes, voices = audio_shapes or {}, voices or {}
    places = {}
    for clip_id, modality in modalities.items():
        video_shape = VIDEO_SHAPE if modality == "av" else None
        bucket = bucket_name(video_shape, audio_shapes.get(clip_id, AUDIO_SHAPE))
        places[clip_id] = (bucket, "heldout" if clip_id.startswith("h") else "train")
    entries = []
    for plan in plan_shards(places, clips_per_shard=2):
        rows = [clip_tensors(name, modalities[name], audio_shapes.get(name, AUDIO_SHAPE)) for name in plan.ids]
        tensors = {name: torch.stack([row[name] for row in rows]).to(dtype) for name in rows[0]}
        spoken = [(name, number) for name in plan.ids for number in range(len(voices.get(name, ())))]
        if spoken:
            tensors["voice_SE"] = torch.tensor([[voice_value(*voice)] * 3 for voice in spoken], dtype=dtype)
        before = 0
        write_shard(folder / plan.path, tensors, "key")
        digest = sha256_file(folder / plan.path)
        for row, clip_id in enumerate(plan.ids):
            video_shape = VIDEO_SHAPE if modalities[clip_id] == "av" else None
            audio_shape = audio_shapes.get(clip_id, AUDIO_SHAPE)
            entries.append(
                LatentEntry(
                    clip_id=clip_id,
                    bucket=plan.bucket,
                    modality=modalities[clip_id],
                    split=plan.split,
                    shard=plan.path,
                    row=row,
                    shard_sha256=digest,
                    dtype="F32" if dtype is torch.float32 else "BF16",
                    video_shape=video_shape,
                    audio_shape=audio_shape,
                    text_shape=TEXT_SHAPE,
                    seq_len=sequence_length(video_shape, audio_shape),
                    video_codec_id="v",
                    audio_codec_id="a",
                    text_encoder_id="t",
                    caption=f"caption of {clip_id}",
                    dropped_words=0,
                    tags=("flash",),
                    voice_row=before,
                    voice_slots=voices.get(clip_id, ()),
                    voice_width=3 if voices else 0,
                )
            )
            before += len(voices.get(clip_id, ()))
    write_index(folder, entries)
    return folder


@pytest.fixture(params=["held in memory", "read from files"])
def where(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small clips are held in memory; the same must hold of those that are not."""
    if request.param == "read from files":
        monkeypatch.setattr("nava.data.held_rows.SMALL_CLIP_BYTES", 0)


@pytest.fixture
def folder(tmp_path: Path, where: None) -> Path:
    return write_set(
        tmp_path, {"c": "av", "a": "av", "b": "av", "h1": "av", "s2": "audio", "s1": "audio", "h2": "audio"}
    )


def test_reads_what_was_written_in_the_order_asked(folder: Path) -> None:
    batch = LatentShards(folder).read(["c", "a", "b", "a"])
    assert batch.ids == ["c", "a", "b", "a"]
    assert batch.captions[0] == "caption of c"
    assert batch.video_BCTHW is not None
    assert (batch.video_BCTHW.shape, batch.audio_BLC.shape, batch.text_BND.shape) == (
        (4, *VIDEO_SHAPE),
        (4, *AUDIO_SHAPE),
        (4, *TEXT_SHAPE),
    )
    for row, clip_id in enumerate(batch.ids):
        written = clip_tensors(clip_id, "av")
        assert torch.equal(batch.video_BCTHW[row], written["video_BCTHW"])
        assert torch.equal(batch.audio_BLC[row], written["audio_BLC"])
        assert torch.equal(batch.text_BND[row], written["text_BND"])


def test_ids_by_split_and_modality(folder: Path) -> None:
    shards = LatentShards(folder)
    assert shards.ids("train", "av") == ["a", "b", "c"]
    assert shards.ids("train", "audio") == ["s1", "s2"]
    assert shards.ids("heldout", "av") == ["h1"]
    assert shards.ids("heldout") == ["h1", "h2"]
    assert len(shards.ids()) == 7
    assert shards.ids("validation", "av") == []
    assert [entry.tags for entry in shards.select("heldout", "av")] == [("flash",)]


def test_sound_alone_has_no_video(folder: Path) -> None:
    batch = LatentShards(folder).read(["s1", "s2"])
    assert batch.video_BCTHW is None
    assert torch.equal(batch.audio_BLC[1], clip_tensors("s2", "audio")["audio_BLC"])


def test_soundtracks_can_be_mixed_with_sound_alone(folder: Path) -> None:
    batch = LatentShards(folder).read(["a", "s1"])
    assert batch.video_BCTHW is None
    assert torch.equal(batch.audio_BLC[0], clip_tensors("a", "av")["audio_BLC"])


def test_a_batch_may_be_changed_without_changing_the_set(folder: Path) -> None:
    shards = LatentShards(folder)
    shards.read(["a"]).audio_BLC.zero_()
    assert torch.equal(shards.read(["a"]).audio_BLC[0], clip_tensors("a", "av")["audio_BLC"])


def test_a_large_set_keeps_few_files_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nava.data.shards.OPEN_SHARDS", 2)
    shards = LatentShards(folder)
    for _ in range(2):
        for clip_id in shards.ids():
            batch = shards.read([clip_id])
            written = clip_tensors(clip_id, shards.entries[clip_id].modality)
            assert torch.equal(batch.audio_BLC[0], written["audio_BLC"])
    assert len(shards._open) == 2


def test_every_shard_is_verified_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    verified = []
    monkeypatch.setattr("nava.data.shards.OPEN_SHARDS", 1)
    monkeypatch.setattr("nava.data.shards.verify_shard", lambda path, entries: verified.append(entries[0].shard))
    shards = LatentShards(folder)
    for _ in range(3):
        for clip_id in shards.ids():
            shards.read([clip_id])
    assert sorted(verified) == sorted({entry.shard for entry in shards.entries.values()})


def test_threads_read_the_same_as_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nava.data.shards.OPEN_SHARDS", 1)
    shards, one = LatentShards(folder), LatentShards(folder)
    ids = one.ids() * 40
    with ThreadPoolExecutor(8) as pool:
        for clip_id, batch in zip(ids, pool.map(lambda clip: shards.read([clip]), ids), strict=True):
            assert torch.equal(batch.audio_BLC, one.read([clip_id]).audio_BLC)


def test_the_picture_may_be_left_out(folder: Path) -> None:
    batch = LatentShards(folder).read(["c", "a"], with_video=False)
    assert batch.video_BCTHW is None
    assert torch.equal(batch.audio_BLC[1], clip_tensors("a", "av")["audio_BLC"])


@pytest.mark.usefixtures("where")
def test_what_is_stored_in_half_precision_is_given_as_asked(tmp_path: Path) -> None:
    write_set(tmp_path, {"a": "av", "b": "av"}, dtype=torch.bfloat16)
    shards = LatentShards(tmp_path)
    stored, single = shards.read(["b", "a"], dtype=None), shards.read(["b", "a"])
    assert (stored.audio_BLC.dtype, single.audio_BLC.dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(stored.audio_BLC[0], clip_tensors("b", "av")["audio_BLC"].bfloat16())
    assert torch.equal(stored.video_BCTHW.float(), single.video_BCTHW)


@pytest.mark.usefixtures("where")
def test_voices_come_with_their_clips_and_slots(tmp_path: Path) -> None:
    write_set(tmp_path, {"a": "audio", "b": "audio", "c": "audio", "d": "audio"}, voices={"b": (2,), "c": (0, 5)})
    shards = LatentShards(tmp_path)
    batch = shards.read(["c", "a", "b", "c"])
    assert batch.voice_SE is not None
    assert [row[0].item() for row in batch.voice_SE] == [
        voice_value(*at) for at in (("c", 0), ("c", 1), ("b", 0), ("c", 0), ("c", 1))
    ]
    rows = TEXT_SHAPE[0]
    assert batch.voice_slot_S.tolist() == [0, 5, 2 * rows + 2, 3 * rows, 3 * rows + 5]
    assert shards.read(["a", "d"]).voice_SE is None


def test_codec_folder_lies_beside_the_index(folder: Path) -> None:
    assert LatentShards(folder).codec_folder == folder / "codec"


@pytest.mark.usefixtures("where")
def test_clips_of_other_sizes_are_not_batched(tmp_path: Path) -> None:
    shards = LatentShards(write_set(tmp_path, {"a": "av", "long": "audio"}, {"long": (9, 6)}))
    with pytest.raises(InputError, match="a is in bucket v3x2x2-a5, long in a9"):
        shards.read(["a", "long"])
    assert shards.read(["long"]).audio_BLC.shape == (1, 9, 6)


def test_unknown_id_and_no_id(folder: Path) -> None:
    shards = LatentShards(folder)
    with pytest.raises(InputError, match="clip 'nobody' is not among the 7 clips"):
        shards.read(["a", "nobody"])
    with pytest.raises(InputError, match="the list of ids is empty"):
        shards.read([])


def test_no_shards_here(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no latent shards in"):
        LatentShards(tmp_path)


def test_verify_passes_a_good_set(folder: Path) -> None:
    LatentShards(folder).verify()


def test_a_flipped_bit_is_found_on_first_use_and_by_verify(folder: Path) -> None:
    shards = LatentShards(folder)
    path = folder / shards.entries["c"].shard
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    named = rf"latent shard .*{shards.entries['c'].shard} is damaged: sha256.*re-run the encode step"
    with pytest.raises(InputError, match=named):
        shards.read(["c"])
    assert len(shards.read(["a", "b"]).ids) == 2
    with pytest.raises(InputError, match=named):
        LatentShards(folder).verify()


def test_verify_finds_values_that_are_not_finite(tmp_path: Path) -> None:
    write_set(tmp_path, {"a": "audio"})
    shards = LatentShards(tmp_path)
    entry = shards.entries["a"]
    tensors = clip_tensors("a", "audio")
    tensors["audio_BLC"][2, 3] = torch.nan
    write_shard(tmp_path / entry.shard, {name: tensor[None] for name, tensor in tensors.items()}, "key")
    write_index(tmp_path, [LatentEntry(**vars(entry) | {"shard_sha256": sha256_file(tmp_path / entry.shard)})])
    with pytest.raises(InputError, match="audio_BLC holds values that are not finite"):
        LatentShards(tmp_path).verify()


def test_facts_belong_to_a_complete_shard_of_that_content(tmp_path: Path) -> None:
    path = tmp_path / "a5" / "00000.safetensors"
    assert shard_facts(path, "key") is None
    write_shard(path, {"audio_BLC": torch.zeros(1, 5, 6)}, "key", {"words": [3]})
    assert shard_facts(path, "key") == {"words": [3]}
    assert shard_facts(path, "of something else") is None
    path.write_bytes(path.read_bytes()[:20])
    assert shard_facts(path, "key") is None


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(4.0), "a": torch.ones(2, 2).T}
    write_shard(tmp_path / "one", tensors, "key")
    write_shard(tmp_path / "two", dict(reversed(tensors.items())), "key")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


places = st.dictionaries(
    st.text("abcdef0123456789", min_size=1, max_size=6),
    st.tuples(st.sampled_from(["a52", "v13x4x4-a52"]), st.sampled_from(["train", "heldout"])),
    max_size=30,
)


@given(places, st.integers(1, 7))
def test_plans_place_every_clip_once_in_pure_shards(clips: dict[str, tuple[str, str]], limit: int) -> None:
    plans = plan_shards(clips, limit)
    assert sorted(clip_id for plan in plans for clip_id in plan.ids) == sorted(clips)
    assert len({plan.path for plan in plans}) == len(plans)
    for plan in plans:
        assert 1 <= len(plan.ids) <= limit
        assert {clips[clip_id] for clip_id in plan.ids} == {(plan.bucket, plan.split)}
        assert plan.path.startswith(f"{plan.bucket}/")
    assert plan_shards(dict(reversed(clips.items())), limit) == plans


def test_plan_needs_a_positive_size() -> None:
    with pytest.raises(InputError, match="clips_per_shard must be at least 1, got 0"):
        plan_shards({"a": ("a52", "train")}, 0)
