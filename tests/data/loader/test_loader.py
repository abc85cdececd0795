"""Loading ahead, and going on: the same global order whatever the number of ranks was and is."""

import json
import threading
from collections.abc import Sequence
from itertools import islice

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nava.config.loader import LoaderConfig
from nava.data.loader.loader import LatentLoader, LoaderState
from nava.data.loader.sampler import MicroBatchSampler
from nava.data.shards import LatentBatch
from nava.runtime.errors import InputError
from tests.data.loader.sized_clips import SizedClips, one_stage, sized_entry

SIZES = [((1, 4, 4), 3), ((2, 4, 4), 3), ((2, 4, 6), 7), (None, 3), (None, 9)]


def some_clips() -> SizedClips:
    return SizedClips([sized_entry(f"c{number:03d}", SIZES[number % 5]) for number in range(60)])


def order_of(source: SizedClips, run_length: int = 1, seed: int = 3) -> MicroBatchSampler:
    return MicroBatchSampler(source, one_stage(), LoaderConfig(max_tokens=60, run_length=run_length), 1, seed)


def taken(source: SizedClips, ranks: int, per_step: int, steps: int, state: LoaderState | None = None) -> tuple:
    """What all ranks take in some steps, in the global order, and the state of each afterwards."""
    numbers: dict[int, tuple[str, ...]] = {}
    states = []
    for rank in range(ranks):
        loader = LatentLoader(source, order_of(source), per_step=per_step, rank=rank, ranks=ranks, prefetch=0)
        if state is not None:
            loader.restore(state)
        for loaded in islice(loader, steps * per_step // ranks):
            assert loaded.sampled.number not in numbers
            numbers[loaded.sampled.number] = loaded.sampled.ids
        states.append(loader.state())
    assert len(set(map(str, states))) == 1
    return [numbers[number] for number in sorted(numbers)], sorted(numbers), states[0]


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 3, 4, 6]), st.integers(1, 3), st.integers(0, 3)), min_size=1, max_size=4)
)
def test_the_global_order_does_not_depend_on_how_many_ranks_went_through_it(parts: list[tuple[int, int, int]]) -> None:
    """Parts of (ranks, accumulation, steps): each goes on where the one before stopped, with ranks of its own."""
    source = some_clips()
    state, seen, numbers = None, [], []
    for ranks, accumulation, steps in parts:
        clips, places, state = taken(source, ranks, ranks * accumulation, steps, state)
        seen += clips
        numbers += places
    order = order_of(source)
    assert numbers == list(range(len(numbers)))
    assert seen == [order[number].ids for number in numbers]


@settings(deadline=None, max_examples=10)
@given(st.sampled_from([1, 2, 4]))
def test_every_clip_is_seen_once_an_epoch_over_all_ranks(ranks: int) -> None:
    source = some_clips()
    order = order_of(source)
    seen: dict[tuple[str, int], list[str]] = {}
    for rank in range(ranks):
        loader = LatentLoader(source, order, per_step=4, rank=rank, ranks=ranks, prefetch=0)
        for loaded in islice(loader, 240 // ranks):
            batch = loaded.sampled
            seen.setdefault((batch.task.modality, batch.epoch), []).extend(batch.ids)
    for modality in ("av", "audio"):
        assert sorted(seen[modality, 0]) == [entry.clip_id for entry in source.select("train", modality)]
        assert sorted(seen[modality, 1]) == sorted(seen[modality, 0])


@pytest.mark.parametrize("prefetch", [0, 1, 5])
def test_what_is_read_ahead_comes_in_order_with_its_own_latents(prefetch: int) -> None:
    source = some_clips()
    order = order_of(source)
    for number, loaded in enumerate(islice(LatentLoader(source, order, prefetch=prefetch), 30)):
        assert loaded.sampled == order[number]
        expected = source.read(loaded.sampled.ids)
        assert torch.equal(loaded.latents.audio_BLC, expected.audio_BLC)
        assert (loaded.latents.video_BCTHW is None) == (loaded.sampled.task.modality == "audio")


def test_the_state_counts_what_was_taken_not_what_was_read_ahead() -> None:
    loader = LatentLoader(some_clips(), order_of(some_clips()), per_step=2, prefetch=6)
    batches = iter(loader)
    assert loader.state().cursor == 0
    for count, cursor in ((1, 0), (2, 2), (3, 2), (4, 4)):
        next(batches)
        assert loader.state().cursor == cursor, count


def test_the_state_names_the_epochs_and_survives_json() -> None:
    loader = LatentLoader(some_clips(), order_of(some_clips()), prefetch=0)
    lengths = order_of(some_clips()).epoch_lengths()
    list(islice(loader, 40))
    state = loader.state()
    assert LoaderState.from_json(json.loads(json.dumps(state.to_json()))) == state
    assert sum(epoch * lengths[name] + place for name, (epoch, place) in state.epochs.items()) == 40


def test_a_state_of_another_order_is_refused() -> None:
    source = some_clips()
    loader = LatentLoader(source, order_of(source))
    with pytest.raises(InputError, match="of another order of micro-batches"):
        loader.restore(LatentLoader(source, order_of(source, seed=4)).state())
    with pytest.raises(InputError, match="of another order of micro-batches"):
        loader.restore(LatentLoader(source, order_of(source, run_length=2)).state())


class Counting(SizedClips):
    """Remembers in which threads it was read, and breaks at a clip."""

    broken = ""

    def __init__(self) -> None:
        super().__init__(list(some_clips().entries.values()))
        self.threads: set[str] = set()
        self.gate = threading.Semaphore(1000)

    def read(self, ids: Sequence[str], **wanted: object) -> LatentBatch:
        self.threads.add(threading.current_thread().name)
        if self.broken in ids:
            raise InputError(f"clip {self.broken} is damaged")
        return super().read(ids, **wanted)  # type: ignore[arg-type]


def test_reading_ahead_is_bounded_and_ends_with_the_iterator() -> None:
    source = Counting()
    batches = iter(LatentLoader(source, order_of(source), prefetch=3))
    for _ in range(10):
        next(batches)
    assert len(source.read_ids) <= 10 + 3
    assert threading.current_thread().name not in source.threads
    batches.close()  # type: ignore[attr-defined]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("nava-loader")]


def test_a_clip_that_cannot_be_read_is_told_where_it_is_needed() -> None:
    source = Counting()
    order = order_of(source)
    source.broken = order[7].ids[0]
    batches = iter(LatentLoader(source, order, prefetch=4))
    for number in range(7):
        assert next(batches).sampled.number == number
    with pytest.raises(InputError, match=f"clip {source.broken} is damaged"):
        next(batches)


@pytest.mark.parametrize(("rank", "ranks", "per_step"), [(0, 0, 1), (2, 2, 2), (0, 2, 3), (-1, 1, 1), (0, 1, 0)])
def test_ranks_that_cannot_share_a_step_are_refused(rank: int, ranks: int, per_step: int) -> None:
    with pytest.raises(InputError, match="the number of ranks must divide it"):
        LatentLoader(some_clips(), order_of(some_clips()), rank=rank, ranks=ranks, per_step=per_step)
