"""Encoding on the fly: the same batches as from shards, and shards of the same bytes."""

from itertools import islice
from pathlib import Path

import pytest
import torch

from nava.artifacts.clip_manifest import kept_rows
from nava.artifacts.latent_shard import write_index
from nava.config.conditioning import ConditioningConfig
from nava.config.encoding import EncodingConfig
from nava.config.latents import LatentsConfig, VideoCodecConfig
from nava.config.loader import LoaderConfig
from nava.data.clip_encoder import Corpus, Encoders, fitted_encoders
from nava.data.loader import online
from nava.data.loader.loader import LatentLoader
from nava.data.loader.online import OnlineLatents
from nava.data.loader.sampler import MicroBatchSampler
from nava.data.shard_encoder import encode_shard, plan_corpus
from nava.data.shards import LatentShards, LatentSource
from nava.runtime.errors import InputError
from tests.data.flash_corpus import write_flash_corpus
from tests.data.loader.sized_clips import one_stage

LATENTS = LatentsConfig(video=VideoCodecConfig(type="block_dct"))
CONFIG = EncodingConfig(clips_per_shard=4)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = write_flash_corpus(tmp_path_factory.mktemp("corpus"), train=6, held_out=1, audio_only=3)
    rows = kept_rows(folder)
    for row in rows:
        if row["clip_id"] not in ("av0000", "audio2000"):
            continue
        row["caption"] = "before <S>hello<E>"
        row["speech"] = [{"speaker": "a", "t0_s": 0.0, "t1_s": 2.0, "text": "hello"}]
    return Corpus(folder, rows, decode_workers=1)


@pytest.fixture(scope="module")
def offline(corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Encoders]:
    folder = tmp_path_factory.mktemp("shards")
    conditioning = ConditioningConfig(timbre_encoder="mel_statistics")
    encoders = fitted_encoders(folder, corpus, LATENTS, conditioning, seed=0)
    plans = plan_corpus(corpus, encoders, CONFIG)
    write_index(folder, [entry for plan in plans for entry in encode_shard(folder, plan, corpus, encoders, CONFIG)])
    return folder, encoders


def batches(source: LatentSource, count: int) -> list:
    sampler = MicroBatchSampler(source, one_stage(3), LoaderConfig(), 1, 5)
    return list(islice(LatentLoader(source, sampler, prefetch=2), count))


def test_the_loader_gives_the_same_batches_to_the_last_bit(corpus: Corpus, offline: tuple[Path, Encoders]) -> None:
    folder, encoders = offline
    there = batches(LatentShards(folder), 12)
    here = batches(OnlineLatents(corpus, encoders, CONFIG), 12)
    voices = 0
    for online_batch, stored in zip(here, there, strict=True):
        assert online_batch.sampled == stored.sampled
        for name in ("video_BCTHW", "audio_BLC", "text_BND", "voice_SE", "voice_slot_S"):
            one, other = getattr(online_batch.latents, name), getattr(stored.latents, name)
            assert (one is None) == (other is None), name
            assert one is None or torch.equal(one, other), name
        assert online_batch.latents.captions == stored.latents.captions
        voices += stored.latents.voice_SE is not None
    assert voices


def test_written_through_it_ends_in_the_shards_of_the_encode_step(
    corpus: Corpus, offline: tuple[Path, Encoders], tmp_path: Path
) -> None:
    folder, encoders = offline
    source = OnlineLatents(corpus, encoders, CONFIG, tmp_path)
    source.read(["av0003", "av0001"])
    assert len(list(tmp_path.rglob("av*.safetensors"))) == 2
    source.finish()
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert made == {path: (folder / path).read_bytes() for path in made}
    assert len(made) == 1 + len({entry.shard for entry in LatentShards(folder).entries.values()})
    LatentShards(tmp_path).verify()


def test_what_was_encoded_before_a_kill_is_not_encoded_again(
    corpus: Corpus, offline: tuple[Path, Encoders], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, encoders = offline
    first = OnlineLatents(corpus, encoders, CONFIG, tmp_path).read(["av0000", "av0002"])
    monkeypatch.setattr(online, "encode_clips", lambda *_: pytest.fail("a clip was encoded twice"))
    again = OnlineLatents(corpus, encoders, CONFIG, tmp_path).read(["av0000", "av0002"])
    assert torch.equal(first.video_BCTHW, again.video_BCTHW)
    assert torch.equal(first.voice_SE, again.voice_SE)


def test_memory_is_bounded_and_spares_encoding(
    corpus: Corpus, offline: tuple[Path, Encoders], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = []
    encode = online.encode_clips
    monkeypatch.setattr(online, "encode_clips", lambda rows, *rest: encoded.append(rows) or encode(rows, *rest))
    roomy = OnlineLatents(corpus, offline[1], CONFIG)
    for _ in range(3):
        roomy.read(["av0000", "av0001"])
    assert len(encoded) == 2
    cramped = OnlineLatents(corpus, offline[1], CONFIG, memory_mb=0)
    for _ in range(3):
        cramped.read(["av0000"])
    assert len(encoded) == 5


def test_half_precision_is_rounded_as_in_shards(corpus: Corpus, offline: tuple[Path, Encoders]) -> None:
    half = OnlineLatents(corpus, offline[1], EncodingConfig(dtype="bfloat16"))
    full = OnlineLatents(corpus, offline[1], CONFIG)
    stored, given = half.read(["av0000"], dtype=None), half.read(["av0000"])
    assert stored.audio_BLC.dtype == torch.bfloat16
    assert torch.equal(given.audio_BLC, full.read(["av0000"]).audio_BLC.bfloat16().float())


def test_what_cannot_be_read_is_refused(corpus: Corpus, offline: tuple[Path, Encoders]) -> None:
    source = OnlineLatents(corpus, offline[1], CONFIG)
    with pytest.raises(InputError, match="clip 'nobody' is not among the 10 clips"):
        source.read(["nobody"])
    with pytest.raises(InputError, match="the list of ids is empty"):
        source.read([])
    with pytest.raises(ValueError, match="cannot be finished"):
        source.finish()
