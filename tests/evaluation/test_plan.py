from collections import Counter

import pytest

from nava.config.evaluation import EvaluationConfig
from nava.evaluation.captions import Attribute
from nava.evaluation.plan import (
    CODEC,
    GUIDED,
    NO_ALIGN,
    REAL,
    UNTRAINED,
    HeldoutClip,
    choose_families,
    family_of,
    noise_seed,
    plan_requests,
)

COLOUR = Attribute("colour", ("red", "green", "blue"))
PITCH = Attribute("pitch", ("low", "high"))


def clips(family, n, caption="A red bar flashes, with a low tone."):
    tags = (family, "colour:red", "pitch:low")
    return [HeldoutClip(f"{family}{i:02}", caption, tags) for i in range(n)]


def planned(clip_list, with_real=True, **settings):
    config = EvaluationConfig(**settings)
    return plan_requests(choose_families(clip_list, config), (COLOUR, PITCH), config, seed=7, with_real=with_real)


def test_the_scored_family_comes_first_and_then_the_largest():
    families = choose_families(clips("talk", 5) + clips("rain", 9) + clips("flash", 2), EvaluationConfig())
    assert [(family.name, family.available, family.scored) for family in families] == [
        ("flash", 2, True),
        ("rain", 9, False),
        ("talk", 5, False),
    ]


def test_families_are_cut_to_their_sizes_whatever_the_order_of_the_input():
    everything = clips("flash", 5) + clips("talk", 5)
    config = EvaluationConfig(scored_clips=3, other_clips=2)
    families = choose_families(everything[::-1], config)
    assert families == choose_families(everything, config)
    assert [[clip.clip_id for clip in family.clips] for family in families] == [
        ["flash00", "flash01", "flash02"],
        ["talk00", "talk01"],
    ]


def test_only_the_largest_families_are_evaluated():
    everything = [clip for i, name in enumerate("abcd") for clip in clips(name, i + 1)]
    assert [family.name for family in choose_families(everything, EvaluationConfig(max_families=2))] == ["d", "c"]


@pytest.mark.parametrize(
    ("tags", "family"), [(("speech", "flash"), "flash"), (("speech", "face"), "speech"), ((), "other")]
)
def test_family_of_tags(tags, family):
    assert family_of(tags) == family


def test_every_variant_of_a_clip_has_the_same_prompt_and_noise():
    requests = [request for request in planned(clips("flash", 3)) if request.changed is None]
    assert {request.variant for request in requests} == {GUIDED, NO_ALIGN, UNTRAINED, REAL, CODEC}
    for clip_id in {request.clip_id for request in requests}:
        assert len({(r.seed, r.prompt) for r in requests if r.clip_id == clip_id}) == 1
    assert len({request.seed for request in requests}) == 3


def test_the_noise_of_a_clip_does_not_depend_on_what_else_is_evaluated():
    alone = {r.clip_id: r.seed for r in planned(clips("flash", 1))}
    among = {r.clip_id: r.seed for r in planned(clips("flash", 9) + clips("talk", 4))}
    assert alone.items() <= among.items()
    assert noise_seed(7, "flash00") != noise_seed(8, "flash00")
    assert 0 <= noise_seed(7, "flash00") < 2**31


def test_other_families_are_not_made_without_alignment_guidance():
    counts = Counter((r.family, r.variant) for r in planned(clips("flash", 2) + clips("talk", 2)) if not r.changed)
    assert counts["flash", NO_ALIGN] == 2
    assert counts["talk", NO_ALIGN] == 0
    assert counts["talk", GUIDED] == counts["talk", REAL] == 2
    assert counts["talk", UNTRAINED] == counts["talk", CODEC] == 0


def test_swaps_change_one_word_with_the_same_noise():
    requests = planned(clips("flash", 6), swap_clips=4)
    original = {r.clip_id: r for r in requests if r.variant == GUIDED and r.changed is None}
    swaps = [r for r in requests if r.changed]
    assert Counter(r.attribute for r in swaps) == {"colour": 4, "pitch": 4}
    for swap in swaps:
        old, new = swap.changed
        assert swap.prompt == original[swap.clip_id].prompt.replace(old, new) != original[swap.clip_id].prompt
        assert swap.seed == original[swap.clip_id].seed
        assert dict(swap.words) == dict(original[swap.clip_id].words) | {swap.attribute: new}
    assert {swap.changed[1] for swap in swaps if swap.attribute == "colour"} == {"green", "blue"}


def test_captions_without_the_words_are_not_swapped():
    assert not [r for r in planned(clips("flash", 3, "Something flashes.")) if r.changed]


def test_requests_carry_what_their_prompt_says():
    requests = planned(clips("flash", 1)) + planned(clips("talk", 1, "A red face."))
    assert {r.words for r in requests if r.family == "flash" and not r.changed} == {
        (("colour", "red"), ("pitch", "low"))
    }
    assert {r.words for r in requests if r.family == "talk"} == {(("colour", "red"),)}


def test_sample_ids_are_unique():
    ids = [request.sample_id for request in planned(clips("flash", 6) + clips("talk", 6))]
    assert len(set(ids)) == len(ids)


def test_the_gallery_shows_half_scored_and_the_first_prompt_in_every_variant():
    requests = planned(clips("flash", 20) + clips("talk", 20) + clips("rain", 20), gallery_clips=8)
    shown = Counter((r.family, r.variant) for r in requests if r.gallery and not r.changed)
    assert shown["flash", GUIDED] == 4
    assert shown["talk", GUIDED] == shown["rain", GUIDED] == 2
    assert shown["flash", REAL] == shown["flash", CODEC] == shown["flash", UNTRAINED] == shown["flash", NO_ALIGN] == 1
    assert Counter(r.attribute for r in requests if r.gallery and r.changed) == {"colour": 1, "pitch": 1}


@pytest.mark.parametrize(("n_flash", "n_talk", "expected"), [(1, 20, 8), (20, 1, 8), (20, 0, 8), (0, 3, 3), (2, 2, 4)])
def test_the_gallery_is_filled_from_what_there_is(n_flash, n_talk, expected):
    requests = planned(clips("flash", n_flash) + clips("talk", n_talk), gallery_clips=8)
    assert len([r for r in requests if r.gallery and r.variant == GUIDED and not r.changed]) == expected


def test_no_heldout_clips_give_an_empty_plan():
    assert planned([]) == []


def test_without_the_media_the_codecs_stand_for_the_real_clips():
    requests = planned(clips("flash", 2) + clips("talk", 2), with_real=False)
    assert {r.variant for r in requests if r.family == "talk"} == {GUIDED, CODEC}
    assert {r.variant for r in requests if r.family == "flash"} == {GUIDED, NO_ALIGN, UNTRAINED, CODEC}


def test_known_families_without_clips_are_listed_last():
    families = choose_families(clips("flash", 2), EvaluationConfig(), known=["tone", "flash"])
    assert [(family.name, family.available, family.clips) for family in families][1] == ("tone", 0, ())
    assert planned(clips("flash", 2)) == plan_requests(
        families, (COLOUR, PITCH), EvaluationConfig(), seed=7, with_real=True
    )
