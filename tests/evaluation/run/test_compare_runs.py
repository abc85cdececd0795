"""Paired comparison: what differs is seen, what does not is not, and what is of other things is refused."""

from pathlib import Path

import numpy as np
import pytest

from nava.evaluation.run.compare import compare_runs
from nava.runtime.errors import InputError
from tests.evaluation.run.results import a_figure, a_result

COLUMN = "flicker[frames]"


def items(values: np.ndarray) -> dict[str, float]:
    return {f"i{number:03d}": float(value) for number, value in enumerate(values)}


def test_a_small_paired_difference_is_seen_through_large_differences_between_items(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(10, 5, 60)
    better = base - 0.3 + rng.normal(0, 0.2, 60)
    first = a_result(tmp_path / "a", {COLUMN: items(better)})
    second = a_result(tmp_path / "b", {COLUMN: items(base)})
    (row,) = compare_runs(first, second)
    assert row.difference == pytest.approx(float((better - base).mean()))
    assert row.ci_low < row.difference < row.ci_high < 0
    assert (row.better, row.n) == ("first", 60), "flicker: lower is better"
    assert row.p_value < 0.01
    (turned,) = compare_runs(second, first)
    assert turned.better == "second"
    assert turned.difference == pytest.approx(-row.difference)


def test_direction_decides_who_is_better(tmp_path: Path) -> None:
    values = items(np.arange(20.0))
    higher = [a_figure(COLUMN, direction="higher")]
    first = a_result(tmp_path / "a", {COLUMN: {item: value + 1 for item, value in values.items()}}, figures=higher)
    second = a_result(tmp_path / "b", {COLUMN: values}, figures=higher)
    assert compare_runs(first, second)[0].better == "first"


def test_noise_is_no_difference(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(10, 5, 60)
    first = a_result(tmp_path / "a", {COLUMN: items(base + rng.normal(0, 1, 60))})
    second = a_result(tmp_path / "b", {COLUMN: items(base)})
    (row,) = compare_runs(first, second)
    assert row.better == ""
    assert row.p_value > 0.05


def test_items_of_one_run_alone_are_counted_and_left_out(tmp_path: Path) -> None:
    first = a_result(tmp_path / "a", {COLUMN: {"i1": 1.0, "i2": 2.0, "i3": 3.0, "i4": None}})
    second = a_result(tmp_path / "b", {COLUMN: {"i1": 1.0, "i2": 1.0, "i4": 9.0}})
    (row,) = compare_runs(first, second)
    assert (row.n, row.only_first, row.only_second) == (2, 1, 1)
    assert row.difference == 0.5


def test_too_few_common_items_and_other_protocols_give_no_figure(tmp_path: Path) -> None:
    first = a_result(tmp_path / "a", {COLUMN: {"i1": 1.0, "i2": 2.0}})
    few = a_result(tmp_path / "b", {COLUMN: {"i1": 1.0}})
    assert compare_runs(first, few)[0].reason == "1 items have a value in both"
    other = a_result(tmp_path / "c", {COLUMN: {"i1": 1.0, "i2": 2.0}}, protocol="v2")
    assert compare_runs(first, other)[0].reason == "protocols differ: v1, v2"
    assert compare_runs(first, a_result(tmp_path / "d", {"flicker[other]": {"i1": 1.0}})) == []


def test_figures_by_other_weights_are_not_compared(tmp_path: Path) -> None:
    values = {COLUMN: {"i1": 1.0, "i2": 2.0}}
    first, other, old = (
        a_result(tmp_path / name, values, figures=[a_figure(COLUMN, backend_sha256=sha256)])
        for name, sha256 in (("a", "1" * 64), ("b", "2" * 64), ("old", ""))
    )
    (row,) = compare_runs(first, other)
    assert (row.difference, row.reason) == (None, "measured by other versions or weights of the backend")
    assert compare_runs(first, old)[0].difference == 0.0


@pytest.mark.parametrize("change", [{"task": "tiny.test.v2"}, {"manifest": "1" * 64}])
def test_results_of_other_things_are_refused(tmp_path: Path, change: dict[str, str]) -> None:
    first = a_result(tmp_path / "a", {COLUMN: {"i1": 1.0}})
    second = a_result(tmp_path / "b", {COLUMN: {"i1": 1.0}}, **change)
    with pytest.raises(InputError, match="cannot be compared"):
        compare_runs(first, second)
    with pytest.raises(InputError, match="holds no result"):
        compare_runs(first, tmp_path)
