"""The order of micro-batches: each clip once an epoch, one bucket and task each, within the budget, at exact ratios."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nava.config.loader import LoaderConfig
from nava.config.training import TaskRatio
from nava.data.loader.ranks import deal, imbalance
from nava.data.loader.sampler import MicroBatchSampler, SampledBatch
from nava.data.loader.tasks import Task
from nava.runtime.errors import InputError
from tests.data.loader.sized_clips import Size, SizedClips, one_stage, sized_entry

SIZES: list[Size] = [((1, 4, 4), 3), ((2, 4, 4), 3), ((2, 4, 6), 7), ((5, 6, 6), 9)]
SOUNDS: list[Size] = [(None, 3), (None, 9), (None, 20)]

paired = st.lists(st.sampled_from(SIZES), min_size=1, max_size=40)
sounds = st.lists(st.sampled_from(SOUNDS), min_size=1, max_size=25)


def corpus(videos: list[Size], audio: list[Size]) -> SizedClips:
    clips = [sized_entry(f"p{number:03d}", size) for number, size in enumerate(videos)]
    return SizedClips([*clips, *(sized_entry(f"s{number:03d}", size) for number, size in enumerate(audio))])


def some_corpus() -> SizedClips:
    return corpus([SIZES[number % 4] for number in range(30)], [SOUNDS[number % 3] for number in range(17)])


def sampler(source: SizedClips, max_tokens: int = 0, run_length: int = 1, seed: int = 3, **changes: object) -> object:
    return MicroBatchSampler(
        source, one_stage(**changes), LoaderConfig(max_tokens=max_tokens, run_length=run_length), 1, seed
    )


def epoch_of(order: MicroBatchSampler, pool: str, epoch: int, belongs: Callable[[SampledBatch], bool]) -> list[str]:
    """The clips of an epoch of a pool, in order."""
    found: list[str] = []
    batches = 0
    for number in range(10_000):
        batch = order[number]
        if belongs(batch) and batch.epoch == epoch:
            found += batch.ids
            batches += 1
            if batches == order.epoch_lengths()[pool]:
                return found
    raise AssertionError("the epoch does not end")


@settings(deadline=None, max_examples=60)
@given(paired, sounds, st.integers(1, 9), st.integers(1, 5), st.integers(0, 3), st.integers(0, 200))
def test_every_clip_comes_exactly_once_an_epoch(
    videos: list[Size], audio: list[Size], size: int, run_length: int, epoch: int, budget: int
) -> None:
    source = corpus(videos, audio)
    order = sampler(source, budget and max(budget, 54), run_length, micro_batch_size=size)
    for pool in ("av", "audio"):
        seen = epoch_of(order, pool, epoch, lambda batch, pool=pool: batch.task.modality == pool)
        assert sorted(seen) == [entry.clip_id for entry in source.select("train", pool)]


@settings(deadline=None, max_examples=60)
@given(paired, sounds, st.integers(54, 400), st.integers(1, 5))
def test_a_micro_batch_is_of_one_task_and_bucket_and_keeps_the_budget(
    videos: list[Size], audio: list[Size], budget: int, run_length: int
) -> None:
    source = corpus(videos, audio)
    order = sampler(source, budget, run_length)
    for number in range(60):
        batch = order[number]
        entries = [source.entries[clip] for clip in batch.ids]
        assert len({entry.bucket for entry in entries}) == 1
        assert {entry.modality for entry in entries} == {batch.task.modality}
        assert batch.tokens == sum(entry.seq_len for entry in entries) <= budget


def test_without_a_budget_a_micro_batch_has_no_more_clips_than_its_size() -> None:
    source, order = some_corpus(), sampler(some_corpus(), micro_batch_size=5)
    sizes = Counter(
        (source.entries[batch.ids[0]].bucket, len(batch.ids)) for batch in map(order.__getitem__, range(90))
    )
    by_bucket: dict[str, set[int]] = {}
    for bucket, size in sizes:
        by_bucket.setdefault(bucket, set()).add(size)
    assert all(max(found) <= 5 and max(found) - min(found) <= 1 for found in by_bucket.values())


def test_a_budget_fills_micro_batches_with_many_short_or_few_long_clips() -> None:
    source, order = some_corpus(), sampler(some_corpus(), max_tokens=120)
    most: dict[str, int] = {}
    for batch in map(order.__getitem__, range(90)):
        bucket = source.entries[batch.ids[0]].bucket
        most[bucket] = max(most.get(bucket, 0), len(batch.ids))
    assert most["v5x6x6-a9"] == 2
    assert most["v1x4x4-a3"] == 8


def test_a_clip_beyond_the_budget_is_named() -> None:
    with pytest.raises(InputError, match=r"clip p003 has 54 tokens, more than loader.max_tokens \(53\)"):
        sampler(some_corpus(), max_tokens=53)


@pytest.mark.parametrize("run_length", [1, 4])
@pytest.mark.parametrize(("audio", "video"), [(3, 1), (1, 2), (0, 1), (1, 0)])
def test_the_ratio_of_modalities_is_exact(audio: int, video: int, run_length: int) -> None:
    order = sampler(some_corpus(), run_length=run_length, audio_only=audio, audio_video=video)
    block = (audio + video) * run_length
    for start in range(0, 12 * block, block):
        drawn = Counter(order[number].task.modality for number in range(start, start + block))
        assert (drawn["audio"], drawn["av"]) == (audio * run_length, video * run_length)


def test_a_stage_of_one_modality_draws_from_it_alone() -> None:
    for audio, video, pool in ((0, 3, "av"), (2, 0, "audio")):
        order = sampler(some_corpus(), audio_only=audio, audio_video=video)
        assert [order.drawn_before(number) for number in range(7)] == [{pool: number} for number in range(7)]


def test_the_ratio_of_tasks_is_exact_and_reference_voices_are_where_they_are_needed() -> None:
    source = some_corpus()
    for clip in ("p001", "p005", "p006", "p010"):
        source.entries[clip] = replace(source.entries[clip], voice_slots=(1,), voice_width=2)
    order = sampler(source, audio_only=1, audio_video=2, tasks=TaskRatio(t2av=2, ti2av=3, t2v=1, tia2av=2))
    drawn = [order[number] for number in range(12 * 20)]
    assert Counter(batch.task for batch in drawn) == {
        Task.T2A: 80, Task.T2AV: 40, Task.TI2AV: 60, Task.T2V: 20, Task.TIA2AV: 40,
    }  # fmt: skip
    for start in range(0, len(drawn), 12):
        assert Counter(batch.task for batch in drawn[start : start + 12])[Task.TI2AV] == 3
    spoken = [clip for batch in drawn if batch.task is Task.TIA2AV for clip in batch.ids]
    assert Counter(spoken).keys() == {"p001", "p005", "p006", "p010"}
    seen = epoch_of(order, "av", 1, lambda batch: batch.task not in (Task.T2A, Task.TIA2AV))
    assert sorted(seen) == [entry.clip_id for entry in source.select("train", "av")]


def test_the_order_of_modalities_varies_and_depends_on_seed_and_stage() -> None:
    def order(seed: int, stage: int) -> list[str]:
        made = MicroBatchSampler(some_corpus(), one_stage(audio_only=3, audio_video=1), LoaderConfig(), stage, seed)
        return [made[number].task.modality for number in range(80)]

    assert order(1, 1) == order(1, 1)
    assert order(1, 1) != order(2, 1)
    assert order(1, 1) != order(1, 2)
    assert len({tuple(order(1, 1)[start : start + 4]) for start in range(0, 80, 4)}) == 4


def test_epochs_differ_from_each_other_and_seeds_from_seeds() -> None:
    one, other = sampler(some_corpus()), sampler(some_corpus(), seed=4)
    first, second = (epoch_of(one, "av", epoch, lambda batch: batch.task.modality == "av") for epoch in (0, 1))
    assert first != second
    assert first != epoch_of(other, "av", 0, lambda batch: batch.task.modality == "av")


def test_a_number_gives_the_same_micro_batch_in_any_order() -> None:
    forwards = [sampler(some_corpus())[number] for number in range(60)]
    one = sampler(some_corpus())
    assert [one[number] for number in reversed(range(60))] == forwards[::-1]


def test_the_fingerprint_tells_orders_apart() -> None:
    base = sampler(some_corpus()).fingerprint
    assert sampler(some_corpus()).fingerprint == base
    fewer = corpus([SIZES[0]] * 29, [SOUNDS[0]])
    others = [
        sampler(fewer),
        sampler(some_corpus(), max_tokens=200),
        sampler(some_corpus(), run_length=2),
        sampler(some_corpus(), seed=9),
        sampler(some_corpus(), audio_only=2),
        sampler(some_corpus(), micro_batch_size=5),
        sampler(some_corpus(), tasks=TaskRatio(1, 1)),
    ]
    assert len({base, *(other.fingerprint for other in others)}) == len(others) + 1


@settings(deadline=None, max_examples=40)
@given(paired, sounds, st.integers(2, 6), st.integers(0, 40))
def test_runs_are_of_one_task_and_nearly_even_in_cost(
    videos: list[Size], audio: list[Size], run_length: int, first: int
) -> None:
    order = sampler(corpus(videos, audio), max_tokens=120, run_length=run_length)
    for run in range(first, first + 6):
        batches = [order[run * run_length + place] for place in range(run_length)]
        assert len({batch.task for batch in batches}) == 1


@pytest.mark.parametrize("ranks", [2, 4, 8])
def test_ranks_have_nearly_the_same_to_do_where_a_shuffle_would_not(ranks: int) -> None:
    """Long clips cost more than short ones of as many tokens; the busiest rank is what all others wait for."""
    lengths: list[Size] = [((frames, 44, 80), 4 * frames) for frames in (3, 7, 13, 19, 25, 31)]
    source = corpus([lengths[number % 6] for number in range(900)], [])
    wasted = {}
    for run_length in (1, ranks):
        order = sampler(source, 60_000, run_length, audio_only=0, audio_video=1)
        steps = [[order[step * ranks + rank] for rank in range(ranks)] for step in range(60)]
        wasted[run_length] = fmean(imbalance(deal(step, ranks)) for step in steps)
    assert wasted[ranks] < 0.03 < 0.1 < wasted[1]


@pytest.mark.parametrize("ranks", [1, 2, 3, 6])
def test_a_step_is_dealt_out_whole_and_evenly(ranks: int) -> None:
    order = sampler(some_corpus(), max_tokens=120)
    step = [order[number] for number in range(12)]
    dealt = deal(step, ranks)
    assert sorted(batch.number for rank in dealt for batch in rank) == list(range(12))
    assert {len(rank) for rank in dealt} == {12 // ranks}


@pytest.mark.parametrize("ranks", [0, 5, 24])
def test_a_step_that_does_not_divide_is_refused(ranks: int) -> None:
    order = sampler(some_corpus())
    with pytest.raises(InputError, match="the number of ranks must divide it"):
        deal([order[number] for number in range(12)], ranks)


def test_ranks_work_on_one_modality_at_a_time() -> None:
    order = sampler(some_corpus(), run_length=4, audio_only=3, audio_video=1)
    for step in range(20):
        dealt = deal([order[step * 8 + number] for number in range(8)], 4)
        for round_of_ranks in zip(*dealt, strict=True):
            assert len({batch.task.modality for batch in round_of_ranks}) == 1


@pytest.mark.parametrize(("missing", "word"), [("p", "audio-video"), ("s", "audio clips")])
def test_a_modality_without_clips_is_refused_unless_the_stage_does_not_use_it(missing: str, word: str) -> None:
    source = some_corpus()
    source.entries = {name: entry for name, entry in source.entries.items() if not name.startswith(missing)}
    with pytest.raises(InputError, match=word):
        sampler(source)
    unused = {"p": {"audio_video": 0}, "s": {"audio_only": 0}}[missing]
    assert sampler(source, **unused)[0].ids


def test_voices_that_nobody_has_are_refused() -> None:
    with pytest.raises(InputError, match=r"stage 1 trains with reference voices \(tasks.tia2av\)"):
        sampler(some_corpus(), tasks=TaskRatio(1, 0, 0, 1))
