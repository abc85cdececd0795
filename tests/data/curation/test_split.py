"""The split by source."""

import hashlib

import pytest

from nava.data.curation.split import SplitStage


def sources(count, group="av"):
    return {hashlib.sha256(f"{group}{number}".encode()).hexdigest(): group for number in range(count)}


def test_shares_come_out_about_right():
    result = SplitStage(0.12).process(sources(2_000))
    assert sum(split == "heldout" for split in result.values()) / 2_000 == pytest.approx(0.12, abs=0.02)


def test_a_source_keeps_its_split_when_the_corpus_grows():
    small, large = SplitStage(0.3).process(sources(60)), SplitStage(0.3).process(sources(600))
    assert all(large[name] == split for name, split in small.items())


@pytest.mark.parametrize("share", [0.0, 0.01, 0.99])
@pytest.mark.parametrize("count", [2, 3, 5])
def test_both_splits_have_a_source_in_each_group(count, share):
    both = sources(count) | sources(count, "audio")
    result = SplitStage(share).process(both)
    for group in ("av", "audio"):
        assert {result[name] for name, kind in both.items() if kind == group} == {"train", "heldout"}


def test_a_lonely_source_is_trained_on():
    assert list(SplitStage(0.99).process(sources(1)).values()) == ["train"]


def test_nothing_is_split_into_nothing():
    assert SplitStage(0.1).process({}) == {}


def test_the_order_of_sources_does_not_matter():
    forward = sources(50)
    assert SplitStage(0.2).process(dict(reversed(forward.items()))) == SplitStage(0.2).process(forward)
