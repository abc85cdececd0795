"""Settings of the pipeline `evaluate`: what no run could use is refused before anything is done, by name."""

import re

import pytest

from nava.config.benchmark import BASELINE_NAMES
from nava.config.composition import compose
from nava.evaluation.run.arm import BASELINES
from nava.runtime.errors import InputError


def test_the_names_of_baselines_are_those_that_there_are() -> None:
    assert BASELINE_NAMES == BASELINES


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("benchmark.task=''", "benchmark.task is ''"),
        ("benchmark.items=-1", "benchmark.items is -1; it must be at least 0"),
        ("benchmark.workers=0", "benchmark.workers is 0"),
        ("benchmark.min_coverage=1.5", "benchmark.min_coverage is 1.5; it must be between 0 and 1"),
        ("benchmark.baselines=[random]", "benchmark.baselines is 'random'"),
        ("benchmark.sampling_steps=0", "benchmark.sampling_steps is 0"),
        ("benchmark.timeout_s=0", "benchmark.timeout_s is 0"),
        ("benchmark.package=p", "benchmark.public_key is ''; it must be given, or benchmark.unsigned true"),
        ("benchmark.public_key=k", "benchmark.public_key is 'k'; it must be empty without benchmark.package"),
        ("benchmark.unsigned=true", "benchmark.unsigned is True; it must be false without benchmark.package"),
        ("benchmark.min_coverge=1", "unknown setting 'benchmark.min_coverge'; did you mean benchmark.min_coverage"),
    ],
)
def test_impossible_settings_are_named(override: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        compose("demo", [override])


def test_a_package_is_verified_or_said_not_to_be() -> None:
    compose("demo", ["benchmark.package=p", "benchmark.public_key=k"])
    compose("demo", ["benchmark.package=p", "benchmark.unsigned=true"])
    with pytest.raises(InputError, match="and not both"):
        compose("demo", ["benchmark.package=p", "benchmark.public_key=k", "benchmark.unsigned=true"])


def test_how_many_processes_work_is_no_part_of_a_result() -> None:
    first, second = compose("demo"), compose("demo", ["benchmark.workers=7", "benchmark.device=cpu"])
    assert first.identity["benchmark"] == second.identity["benchmark"]
    assert first.identity["benchmark"] != compose("demo", ["benchmark.items=1"]).identity["benchmark"]
