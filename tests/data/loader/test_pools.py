"""Which clips a stage draws from, and how often."""

from collections import Counter
from dataclasses import replace

import pytest

from nava.config.model import ModelConfig, release_config
from nava.data.loader.cost import CostModel
from nava.data.loader.pools import StagePools, clip_pools
from nava.runtime.errors import InputError
from tests.data.loader.sized_clips import SizedClips, one_stage, sized_entry

PICTURE, SOUND = ((2, 4, 4), 6), (None, 6)


@pytest.fixture
def source() -> SizedClips:
    clips = [sized_entry(f"p{number}", PICTURE, tags=("flash",) if number < 3 else ("talk",)) for number in range(8)]
    clips += [sized_entry(f"s{number}", SOUND) for number in range(4)]
    clips += [sized_entry("h0", PICTURE, split="heldout"), sized_entry("h1", SOUND, split="heldout")]
    return SizedClips(clips)


def test_audio_micro_batches_may_draw_soundtracks(source: SizedClips) -> None:
    apart = clip_pools(source, "train", soundtracks_as_audio=False)
    assert apart == {"av": [f"p{n}" for n in range(8)], "audio": [f"s{n}" for n in range(4)]}
    together = clip_pools(source, "train", soundtracks_as_audio=True)
    assert together["audio"] == apart["av"] + apart["audio"]
    assert clip_pools(source, "heldout", soundtracks_as_audio=True) == {"av": ["h0"], "audio": ["h0", "h1"]}


def test_soundtracks_and_sounds_of_one_length_share_a_bucket(source: SizedClips) -> None:
    pools = StagePools(source, replace(one_stage(), soundtracks_as_audio=True), 1)
    assert len({clip.bucket for clip in pools["audio"]}) == 1
    assert {clip.tokens for clip in pools["audio"]} == {6}
    assert {clip.tokens for clip in pools["av"]} == {2 * 2 * 2 + 6}


@pytest.mark.parametrize(("tags", "repeats"), [(["flash"], 3), (["flash"], 1), (["missing"], 3), ([], 3)])
def test_curated_clips_are_drawn_more_often_and_no_other_is_left_out(
    source: SizedClips, tags: list[str], repeats: int
) -> None:
    pools = StagePools(source, one_stage(curated_tags=tags, curated_repeats=repeats), 2)
    drawn = Counter(clip.clip_id for clip in pools["av"])
    curated = repeats if tags == ["flash"] else 1
    assert drawn == {f"p{number}": curated if number < 3 else 1 for number in range(8)}


def test_a_stage_may_be_kept_to_a_subset_of_the_corpus(source: SizedClips) -> None:
    for clip in ("p2", "p5", "s1"):
        source.entries[clip] = replace(source.entries[clip], subsets=("stage1", "stage3"))
    pools = StagePools(source, one_stage(subset="stage3"), 3)
    assert [clip.clip_id for clip in pools["av"]] == ["p2", "p5"]
    assert [clip.clip_id for clip in pools["audio"]] == ["s1"]
    with pytest.raises(InputError, match="the training split has none in subset stage2"):
        StagePools(source, one_stage(subset="stage2"), 3)


def test_attention_costs_as_much_as_the_products_at_the_balance() -> None:
    model = CostModel.of(release_config())
    assert model.balance == pytest.approx(3 * 3072 + 14336)
    assert model.clip(round(model.balance)) == pytest.approx(2 * model.balance)
    assert CostModel.of(ModelConfig()).balance < model.balance
    assert model.clip(20_000) > 2 * model.clip(10_000)
