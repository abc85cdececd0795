"""Samples on the way: where one process cannot make them alone, it is said at the start."""

from dataclasses import replace

import pytest

from nava.runtime.errors import InputError
from nava.training.samples import check_sampling
from nava.training.world import World
from tests.training.latents_in_memory import tiny_training


@pytest.mark.parametrize(
    ("changes", "world", "named"),
    [
        ({"zero_stage": 3}, World(size=2), "training.zero_stage=3 in 2 processes"),
        ({"sequence_parallel": 2}, World(size=4, sequence_parallel=2), "training.sequence_parallel=2 in 4 processes"),
    ],
)
def test_one_process_that_does_not_hold_the_model_makes_no_samples(changes: dict, world: World, named: str) -> None:
    config = replace(tiny_training(sample_every_steps=10), **changes)
    with pytest.raises(InputError, match=named):
        check_sampling(config, world)
    check_sampling(replace(config, sample_every_steps=0), world)


@pytest.mark.parametrize(("zero_stage", "size"), [(2, 2), (3, 1), (0, 1)])
def test_where_it_does_they_are_made(zero_stage: int, size: int) -> None:
    check_sampling(tiny_training(sample_every_steps=10, zero_stage=zero_stage), World(size=size))
