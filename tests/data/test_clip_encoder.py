"""Fitting, encoding and measuring on a small corpus of real MP4 and WAV files."""

import shutil
from pathlib import Path

import pytest
import torch

from nava.artifacts.clip_manifest import kept_rows
from nava.config.conditioning import ConditioningConfig
from nava.config.encoding import EncodingConfig
from nava.config.latents import AudioCodecConfig, LatentsConfig, VideoCodecConfig, WanVideoConfig
from nava.data import clip_encoder, shard_encoder
from nava.data.clip_encoder import Corpus, Encoders, fitted_encoders, load_encoders, measure_reconstruction
from nava.data.clip_media import read_wav
from nava.data.shard_encoder import encode_shard, plan_corpus
from nava.runtime.errors import InputError
from tests.data.flash_corpus import write_flash_corpus
from tests.latents.original_layouts import write_small_weights

LATENTS = LatentsConfig(video=VideoCodecConfig(fit_clips=12, fit_blocks=1200, subspace_iterations=3))
CONFIG = EncodingConfig(clips_per_shard=8)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = write_flash_corpus(tmp_path_factory.mktemp("corpus"))
    return Corpus(folder, kept_rows(folder), decode_workers=2)


@pytest.fixture(scope="module")
def shards_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shards")


@pytest.fixture(scope="module")
def encoders(corpus: Corpus, shards_folder: Path) -> Encoders:
    return fitted_encoders(shards_folder, corpus, LATENTS, ConditioningConfig(), seed=0)


def altered(corpus: Corpus, clip_id: str, **changes: object) -> Corpus:
    clips = [clip | changes if clip["clip_id"] == clip_id else clip for clip in corpus.clips]
    return Corpus(corpus.folder, clips, corpus.decode_workers)


def test_corpus_selects_by_split_and_modality(corpus: Corpus) -> None:
    assert len(corpus.clips) == 30
    assert len(corpus.of("train", "av")) == 20
    assert len(corpus.of("train")) == 26
    assert [clip["clip_id"] for clip in corpus.of("heldout")] == [f"av100{index}" for index in range(4)]


def test_codecs_are_fitted_on_training_clips_only(corpus: Corpus, encoders: Encoders, tmp_path: Path) -> None:
    training = Corpus(corpus.folder, corpus.of("train"), 1)
    again = fitted_encoders(tmp_path, training, LATENTS, ConditioningConfig(), seed=0)
    assert again.identities == encoders.identities


def test_fitted_codecs_are_found_again(
    corpus: Corpus, encoders: Encoders, shards_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_encoder, "_fit", lambda *_: pytest.fail("the codecs were fitted twice"))
    again = fitted_encoders(shards_folder, corpus, LATENTS, ConditioningConfig(), seed=0)
    assert again.identities == encoders.identities


def test_shards_hold_what_the_codecs_make_of_the_media(corpus: Corpus, encoders: Encoders, tmp_path: Path) -> None:
    plans = plan_corpus(corpus, encoders, CONFIG)
    assert [(plan.path, plan.split, len(plan.ids)) for plan in plans] == [
        ("a52/00000.safetensors", "train", 6),
        ("v13x4x4-a52/00000.safetensors", "heldout", 4),
        ("v13x4x4-a52/00001.safetensors", "train", 8),
        ("v13x4x4-a52/00002.safetensors", "train", 8),
        ("v13x4x4-a52/00003.safetensors", "train", 4),
    ]
    entries = encode_shard(tmp_path, plans[1], corpus, encoders, CONFIG)
    assert [entry.clip_id for entry in entries] == list(plans[1].ids)
    assert {(entry.modality, entry.video_shape, entry.audio_shape, entry.seq_len) for entry in entries} == {
        ("av", (48, 13, 4, 4), (52, 64), 104)
    }
    assert all(entry.tags == ("flash",) and "bar" in entry.caption for entry in entries)
    stored = clip_encoder.Corpus(corpus.folder, corpus.of("heldout"), 1)
    video_BTHWC = torch.stack(list(stored.videos(stored.clips)))
    from safetensors.torch import load_file

    tensors = load_file(tmp_path / plans[1].path)
    assert torch.allclose(tensors["video_BCTHW"], encoders.codecs.video.encode(video_BTHWC), atol=1e-4)
    assert torch.equal(tensors["text_BND"], encoders.text.encode([entry.caption for entry in entries]))


def test_a_finished_shard_is_not_encoded_again(
    corpus: Corpus, encoders: Encoders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_corpus(corpus, encoders, CONFIG)[0]
    first = encode_shard(tmp_path, plan, corpus, encoders, CONFIG)
    monkeypatch.setattr(shard_encoder, "encode_clips", lambda *_: pytest.fail("the shard was encoded twice"))
    assert encode_shard(tmp_path, plan, corpus, encoders, CONFIG) == first


def test_a_shard_of_other_captions_is_encoded_again(corpus: Corpus, encoders: Encoders, tmp_path: Path) -> None:
    plan = plan_corpus(corpus, encoders, CONFIG)[0]
    before = encode_shard(tmp_path, plan, corpus, encoders, CONFIG)
    after = encode_shard(tmp_path, plan, altered(corpus, "audio2000", caption="rain"), encoders, CONFIG)
    assert before[0].shard_sha256 != after[0].shard_sha256
    assert after[0].caption == "rain"


def test_a_clip_s_latents_do_not_depend_on_its_neighbours(corpus: Corpus, encoders: Encoders, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    many, one = EncodingConfig(clips_per_shard=4), EncodingConfig(clips_per_shard=1)
    (plan,) = [plan for plan in plan_corpus(corpus, encoders, many) if plan.split == "heldout"]
    encode_shard(tmp_path / "many", plan, corpus, encoders, many)
    alone = next(single for single in plan_corpus(corpus, encoders, one) if single.ids == plan.ids[2:3])
    encode_shard(tmp_path / "one", alone, corpus, encoders, one)
    together, single = load_file(tmp_path / "many" / plan.path), load_file(tmp_path / "one" / alone.path)
    assert all(torch.equal(together[name][2], single[name][0]) for name in single)


def test_shards_of_large_clips_hold_fewer(corpus: Corpus, encoders: Encoders) -> None:
    plans = plan_corpus(corpus, encoders, EncodingConfig(clips_per_shard=8, shard_mb=1))
    assert max(len(plan.ids) for plan in plans) == 8
    clip_bytes = 4 * (48 * 13 * 4 * 4 + 52 * 64 + 32 * 64)
    bf16 = EncodingConfig(clips_per_shard=1000, shard_mb=1, dtype="bfloat16")
    sizes = {len(plan.ids) for plan in plan_corpus(corpus, encoders, bf16) if plan.bucket.startswith("v")}
    assert max(sizes) == min(20, 2**20 // (clip_bytes // 2))


def test_half_precision_is_stored_and_named(corpus: Corpus, encoders: Encoders, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    plan = plan_corpus(corpus, encoders, CONFIG)[0]
    encode_shard(tmp_path / "full", plan, corpus, encoders, CONFIG)
    half = EncodingConfig(clips_per_shard=8, dtype="bfloat16")
    entries = encode_shard(tmp_path / "half", plan, corpus, encoders, half)
    full_tensors, half_tensors = (load_file(tmp_path / name / plan.path) for name in ("full", "half"))
    assert {entry.dtype for entry in entries} == {"BF16"}
    assert all(torch.equal(half_tensors[name], full_tensors[name].bfloat16()) for name in full_tensors)


def test_captions_longer_than_the_encoder_are_counted(corpus: Corpus, encoders: Encoders, tmp_path: Path) -> None:
    plan = plan_corpus(corpus, encoders, CONFIG)[0]
    long = altered(corpus, "audio2001", caption="word " * 50)
    dropped = {entry.clip_id: entry.dropped_words for entry in encode_shard(tmp_path, plan, long, encoders, CONFIG)}
    assert dropped.pop("audio2001") == 18
    assert set(dropped.values()) == {0}


def test_reconstruction_is_measured_on_held_out_clips(corpus: Corpus, encoders: Encoders) -> None:
    report = measure_reconstruction(corpus, encoders.codecs, limit=3, seed=0)
    assert (report["video"]["split"], report["video"]["n"]) == ("heldout", 3)
    assert report["video"]["psnr_db"] > 26
    assert report["video"]["ssim"] > 0.85
    assert report["audio"]["envelope_correlation"] > 0.9
    assert report["audio"]["mel_error_db"] < 1.5
    assert report["codecs"] == encoders.codecs.identities
    assert measure_reconstruction(corpus, encoders.codecs, limit=3, seed=0) == report


def test_reconstruction_says_when_nothing_is_held_out(corpus: Corpus, encoders: Encoders) -> None:
    training = Corpus(corpus.folder, corpus.of("train", "audio"), 1)
    report = measure_reconstruction(training, encoders.codecs, limit=2, seed=0)
    assert (report["audio"]["split"], report["audio"]["n"]) == ("train", 2)
    assert report["video"] == {"split": "train", "n": 0, "psnr_db": None, "ssim": None}


def test_media_that_differ_from_the_manifest(corpus: Corpus, encoders: Encoders, tmp_path: Path) -> None:
    plan = plan_corpus(corpus, encoders, CONFIG)[1]
    with pytest.raises(InputError, match=r"clip av1000: .*av1000.mp4 holds \[49, 64, 64, 3\].*says \[53, 64, 64, 3\]"):
        encode_shard(tmp_path, plan, altered(corpus, "av1000", n_frames=53), encoders, CONFIG)
    with pytest.raises(InputError, match=r"clip av1001: .*holds 33280 samples, the manifest says 1000"):
        encode_shard(tmp_path, plan, altered(corpus, "av1001", n_samples_16k=1000), encoders, CONFIG)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_damaged_media_name_the_file(corpus: Corpus, encoders: Encoders, tmp_path: Path) -> None:
    copy = shutil.copytree(corpus.folder, tmp_path / "corpus")
    (copy / "media" / "av1002.mp4").write_bytes(b"no more a film")
    plan = plan_corpus(corpus, encoders, CONFIG)[1]
    with pytest.raises(InputError, match=r"av1002\.mp4 cannot be read"):
        encode_shard(tmp_path, plan, Corpus(copy, corpus.clips, 2), encoders, CONFIG)


def test_clips_that_the_codecs_cannot_encode(corpus: Corpus, encoders: Encoders) -> None:
    with pytest.raises(InputError, match=r"clip av0003 \(av0003.mp4\) cannot be encoded: .*multiples of 16"):
        plan_corpus(altered(corpus, "av0003", width=60), encoders, CONFIG)


def test_nothing_to_fit_on(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no kept clip in its training split"):
        fitted_encoders(tmp_path, Corpus(corpus.folder, [], 1), LATENTS, ConditioningConfig(), seed=0)
    sound = Corpus(corpus.folder, corpus.of("train", "audio"), 1)
    with pytest.raises(InputError, match="no clip with a picture to fit the video codec on"):
        fitted_encoders(tmp_path, sound, LATENTS, ConditioningConfig(), seed=0)
    assert list(tmp_path.iterdir()) == []


def test_encoders_of_a_package_without_a_part(encoders: Encoders, shards_folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(shards_folder / "codec", tmp_path / "codec")
    assert load_encoders(copy).identities == encoders.identities
    (copy / "text" / "config.json").unlink()
    with pytest.raises(InputError, match="no text encoder in"):
        load_encoders(copy)
    shutil.rmtree(copy / "audio")
    with pytest.raises(InputError, match="no codec in"):
        load_encoders(copy)


def test_reads_come_in_order_beyond_the_window(corpus: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clip_encoder, "READS_AHEAD", 3)
    clips = corpus.of("train", "audio")
    sounds = list(corpus.sounds(clips, 16_000))
    assert len(sounds) == len(clips) == 6
    for clip, sound in zip(clips, sounds, strict=True):
        assert torch.equal(sound, torch.from_numpy(read_wav(corpus.folder / clip["audio_path"], 16_000)))


def test_the_sample_for_fitting_follows_the_seed(corpus: Corpus) -> None:
    clips = corpus.of("train")
    drawn = {seed: [clip["clip_id"] for clip in clip_encoder._sample(clips, 5, seed)] for seed in (0, 1)}
    assert drawn[0] != drawn[1]
    assert drawn[0] == sorted(drawn[0]) == [clip["clip_id"] for clip in clip_encoder._sample(clips, 5, 0)]
    assert len(clip_encoder._sample(clips, 1000, 0)) == len(clips)


def test_codecs_of_published_weights_encode_a_corpus(corpus: Corpus, tmp_path: Path) -> None:
    """Random weights of small width in the original files' layout: everything but the quality is as with the real."""
    from safetensors.torch import load_file

    weights = str(write_small_weights(tmp_path / "weights"))
    latents = LatentsConfig(
        video=VideoCodecConfig(type="wan_video", weights=weights, wan=WanVideoConfig(dtype="float32")),
        audio=AudioCodecConfig(type="ltx_audio", weights=weights),
    )
    few = Corpus(corpus.folder, corpus.of("heldout")[:2], 1)
    training = Corpus(corpus.folder, [*corpus.of("train")[:1], *few.clips], 1)
    made = fitted_encoders(tmp_path / "shards", training, latents, ConditioningConfig(), seed=0)
    again = fitted_encoders(tmp_path / "shards", training, latents, ConditioningConfig(), seed=0)
    assert again.identities == made.identities
    with pytest.raises(InputError, match="the codec needs Wan2"):
        load_encoders(tmp_path / "shards" / "codec")

    (plan,) = plan_corpus(few, made, CONFIG)
    assert plan.path == "v13x4x4-a52/00000.safetensors"
    entries = encode_shard(tmp_path, plan, few, made, CONFIG)
    assert {(entry.video_shape, entry.audio_shape) for entry in entries} == {((48, 13, 4, 4), (52, 8))}
    tensors = load_file(tmp_path / plan.path)
    assert tensors["video_BCTHW"].shape == (2, 48, 13, 4, 4)
    assert tensors["audio_BLC"].shape == (2, 52, 8)
    assert all(torch.isfinite(tensor).all() for tensor in tensors.values())

    report = measure_reconstruction(few, made.codecs, limit=1, seed=0)
    assert report["codecs"] == made.codecs.identities
    assert report["video"]["n"] == report["audio"]["n"] == 1
    # Random weights make noise, and the figures say so.
    assert 3 < report["video"]["psnr_db"] < 20
    assert -0.2 < report["video"]["ssim"] < 0.5
    assert 1 < report["audio"]["mel_error_db"] < 60
    assert report["audio"]["without_envelope"] == 0
    assert -1 <= report["audio"]["envelope_correlation"] <= 1
