"""Which clips and dropouts a micro-batch has: a function of its number, at the stated rates."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from nava.config.training import StageConfig
from nava.runtime.errors import InputError
from nava.training.micro_batches import MicroBatches, clip_pools, stage_pools
from tests.training.latents_in_memory import LatentsInMemory, tiny_training

POOLS = {"av": [f"p{number}" for number in range(10)], "audio": [f"s{number}" for number in range(7)]}


def batches(audio: int = 1, paired: int = 1, stage: int = 1, seed: int = 5, **changes: float) -> MicroBatches:
    settings = StageConfig(steps=1, audio_only=audio, audio_video=paired, warmup_steps=0, **changes)
    return MicroBatches(tiny_training(**{f"stage{stage}": settings}), stage, seed, POOLS)


def draws(batch: object) -> tuple:
    noise = torch.randn(3, generator=batch.generator).tolist()
    return batch.modality, batch.ids, batch.text_dropped.tolist(), batch.mask_modality, noise


def test_a_number_always_gives_the_same_micro_batch_in_any_order() -> None:
    forwards = [draws(batches()[number]) for number in range(12)]
    one = batches()
    backwards = [draws(one[number]) for number in reversed(range(12))]
    assert forwards == backwards[::-1]


def test_seed_and_stage_change_everything() -> None:
    reference = [draws(batches()[number]) for number in range(8)]
    for other in (batches(seed=6), batches(stage=2)):
        changed = [draws(other[number]) for number in range(8)]
        assert [draw[1] for draw in changed] != [draw[1] for draw in reference]
        assert not set(map(str, (draw[4] for draw in changed))) & set(map(str, (draw[4] for draw in reference)))


def test_a_micro_batch_holds_one_modality() -> None:
    for number in range(20):
        batch = batches()[number]
        assert {clip[0] for clip in batch.ids} == {"p" if batch.modality == "av" else "s"}


def test_every_clip_is_seen_once_per_epoch_in_a_new_order() -> None:
    source = batches(audio=0, paired=1)
    seen = [clip for number in range(5) for clip in source[number].ids]
    assert sorted(seen[:10]) == sorted(seen[10:]) == sorted(POOLS["av"])
    assert seen[:10] != seen[10:]


def test_fewer_clips_than_a_micro_batch_are_repeated() -> None:
    source = MicroBatches(tiny_training(), 3, 0, {"av": ["p0", "p1"], "audio": []})
    assert sorted(source[0].ids) == ["p0", "p0", "p1", "p1"]


def test_text_is_dropped_per_sample_at_the_stated_rate() -> None:
    source = batches(text_dropout=0.1)
    dropped = torch.stack([source[number].text_dropped for number in range(1500)]).float()
    assert float(dropped.mean()) == pytest.approx(0.1, abs=0.015)
    assert 1 in dropped.sum(dim=1)


def test_masking_is_drawn_per_audio_video_micro_batch_at_the_stated_rate() -> None:
    source = batches(modality_masking=0.2)
    drawn = [source[number] for number in range(3000)]
    masked = [batch.mask_modality for batch in drawn if batch.modality == "av"]
    assert sum(masked) / len(masked) == pytest.approx(0.2, abs=0.03)
    assert not any(batch.mask_modality for batch in drawn if batch.modality == "audio")


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_rates_of_zero_and_one_are_exact(rate: float) -> None:
    source = batches(audio=0, text_dropout=rate, modality_masking=rate)
    drawn = [source[number] for number in range(50)]
    assert all(batch.text_dropped.eq(bool(rate)).all() for batch in drawn)
    assert {batch.mask_modality for batch in drawn} == {bool(rate)}


def test_audio_micro_batches_may_draw_soundtracks() -> None:
    shards, config = LatentsInMemory(), tiny_training()
    pools = clip_pools(shards, "train", config)
    assert pools["av"] == shards.ids("train", "av")
    assert pools["audio"] == shards.ids("train", "av") + shards.ids("train", "audio")
    assert clip_pools(shards, "train", replace(config, soundtracks_as_audio=False))["audio"] == shards.ids(
        "train", "audio"
    )


@pytest.mark.parametrize(("missing", "word"), [("av", "audio-video"), ("audio", "audio clips")])
def test_a_modality_without_clips_is_refused(missing: str, word: str) -> None:
    with pytest.raises(InputError, match=word):
        MicroBatches(tiny_training(), 1, 0, {**POOLS, missing: []})


def test_a_modality_that_the_stage_does_not_use_may_be_empty() -> None:
    assert MicroBatches(tiny_training(), 3, 0, {**POOLS, "audio": []})[0].modality == "av"


@pytest.mark.parametrize(("tags", "repeats"), [(["flash"], 3), (["flash"], 1), (["missing"], 3), ([], 3)])
def test_curated_clips_are_drawn_more_often_and_no_other_is_left_out(tags: list[str], repeats: int) -> None:
    shards, config = LatentsInMemory(), tiny_training()
    paired = shards.ids("train", "av")
    shards.entries = {clip: SimpleNamespace(tags=["flash"] if clip in paired[:3] else ["talk"]) for clip in paired}
    stage3 = replace(config.stage3, curated_tags=tags, curated_repeats=repeats)
    drawn = stage_pools(shards, replace(config, stage3=stage3), 3)["av"]
    expected = repeats if tags == ["flash"] else 1
    assert {clip: drawn.count(clip) for clip in paired} == {
        clip: expected if clip in paired[:3] else 1 for clip in paired
    }
