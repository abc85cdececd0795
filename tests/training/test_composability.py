"""docs/composability.md says what the code says, and a part of it is run again."""

from pathlib import Path

import pytest

from tests.training.composability import FEATURES, Combination, declared
from tests.training.composability_runs import FAILED, GREEN, REFUSED, UNPROVEN, outcomes
from tests.training.composability_table import TABLE, written

# One launch of two processes and one of one; together they touch all that is not compiled.
IN_CI = [("zero2", "ulysses"), ("zero3", "checkpointing"), ("zero2", "lora", "bf16"), ("zero3", "lora", "ranks")]


def test_the_table_has_the_rows_that_are_declared_and_none_failed() -> None:
    rows = written(TABLE.read_text())
    assert list(rows) == [combination.title for combination in declared()]
    assert {state for state, _ in rows.values()} <= {GREEN, REFUSED, UNPROVEN}


def test_every_feature_is_green_with_another_or_said_to_be_unproven() -> None:
    rows = written(TABLE.read_text())
    for feature in FEATURES:
        states = {rows[row.title][0] for row in declared() if feature in row.features}
        assert GREEN in states or (feature == "gpu" and states == {UNPROVEN}), feature


@pytest.mark.parametrize("combination", declared(), ids=lambda combination: combination.title)
def test_what_the_table_calls_refused_is_refused_in_those_words(combination: Combination) -> None:
    state, reason = written(TABLE.read_text())[combination.title]
    assert (state == UNPROVEN) == bool(combination.unproven())
    if state != UNPROVEN:
        assert (state == REFUSED) == bool(combination.refusal())
        assert reason == combination.refusal()


def test_a_part_of_the_table_is_green_again(tmp_path: Path) -> None:
    chosen = [Combination(features) for features in IN_CI]
    found = outcomes(chosen, tmp_path)
    rows = written(TABLE.read_text())
    assert {combination.title: (outcome.state, outcome.reason) for combination, outcome in found.items()} == {
        combination.title: rows.get(combination.title, (GREEN, "")) for combination in chosen
    }


def test_a_run_that_fails_or_differs_is_not_green(tmp_path: Path) -> None:
    """No run is made: its folder is empty, or holds an error."""
    from tests.training.composability_runs import ERROR_FILE, _judged

    combination = Combination(("zero1", "ema"))
    assert _judged(combination, tmp_path).state == FAILED
    (tmp_path / combination.run).mkdir()
    (tmp_path / combination.run / ERROR_FILE).write_text("ValueError: of the run")
    assert _judged(combination, tmp_path).reason == "ValueError: of the run"


@pytest.mark.soak
def test_the_whole_table_is_as_written(tmp_path: Path) -> None:
    found = outcomes(declared(), tmp_path)
    rows = written(TABLE.read_text())
    assert {combination.title: (outcome.state, outcome.reason) for combination, outcome in found.items()} == rows
