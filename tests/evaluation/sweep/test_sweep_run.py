"""A sweep from clips to table, with clips drawn instead of generated: pairs, resuming, failures."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nava.evaluation.benchmark.item import Item
from nava.evaluation.extraction.feature_cache import FeatureCache
from nava.evaluation.run.records import by_column, read_rows
from nava.evaluation.run.score import ScoringSettings
from nava.evaluation.sweep.run import Cell, cell_folder, run_sweep
from nava.evaluation.sweep.sweep import Sweep
from nava.evaluation.sweep.table import read_table, tabulate, write_table
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_tree
from tests.evaluation.benchmark_items import a_task
from tests.evaluation.run.results import a_figure
from tests.evaluation.sweep.sweeps import DrawnClips, cells_of, extracting_here, small_sweep

TASK = a_task("flicker", "silence_share")
ITEMS = [Item(f"i{n}", "one" if n < 2 else "two", "a light") for n in range(3)]
ONE = ScoringSettings(workers=1, attempts=1)


@pytest.fixture(scope="module", autouse=True)
def in_this_process() -> Iterator[None]:
    with extracting_here():
        yield


def quietly(things: Iterable[Any], _total: int, _label: str) -> Iterable[Any]:
    return things


def run(out: Path, maker: DrawnClips, sweep: Sweep | None = None) -> tuple[list[Cell], list[str]]:
    said: list[str] = []
    cache = FeatureCache(out / "features")
    return run_sweep(sweep or small_sweep(), TASK, ITEMS, maker, out, cache, ONE, quietly, said.append), said


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("sweep")
    maker = DrawnClips()
    cells, _ = run(out, maker)
    assert len(maker.made) == 2 * 2 * 3
    write_table(out / "result", tabulate(small_sweep(), TASK, ITEMS, cells, maker.model, ONE))
    return out


def test_what_differs_is_found_and_what_does_not_is_not(finished: Path) -> None:
    table = read_table(finished)
    flicker = table["variants"]["on"]["differences"]["flicker[frames]"]
    assert (flicker["n"], flicker["eligible"]) == (6, 6)
    assert flicker["ci_low"] > 0
    assert flicker["better"] == "baseline", "more flashes flicker more, and less is better"
    assert table["variants"]["off"]["differences"] is None
    figures = [table["variants"][name]["figures"]["flicker[frames]"]["value"] for name in ("off", "on")]
    assert figures[1] - figures[0] == pytest.approx(flicker["value"])
    assert table["layout"][0]["differences"]["flicker[frames]"] == flicker
    text = (finished / "result" / "table.md").read_text()
    assert "| flicker[frames] ↓ |" in text
    assert "Difference from off" in text
    assert r"\toprule" in (finished / "result" / "table.tex").read_text()


def test_a_finished_sweep_is_not_made_again_and_a_changed_one_where_it_changed(finished: Path) -> None:
    before = sha256_tree(finished)
    maker = DrawnClips()
    cells, said = run(finished, maker)
    assert maker.made == []
    assert all(cell.kept for cell in cells)
    assert said == [f"{name}, seed {seed}: finished already" for name in ("off", "on") for seed in (0, 1)]
    assert sha256_tree(finished) == before
    more = small_sweep(variants={"off": {"video_align": 0}, "on": {"video_align": 2}, "far": {"video_align": 3}})
    maker = DrawnClips()
    cells, _ = run(finished, maker, more)
    assert {name for name, _, _ in maker.made} == {"far"}
    assert [cell.kept for cell in cells] == [True] * 4 + [False] * 2
    maker = DrawnClips(identity="another model")
    assert not any(cell.kept for cell in run(finished, maker)[0]), "clips of another model are other clips"


def test_a_sweep_that_was_killed_goes_on_with_its_clips(finished: Path, tmp_path: Path) -> None:
    class Killed(DrawnClips):
        def __call__(self, variant: Any, seed: int, items: Any, folder: Path) -> Any:
            if (variant.name, seed) == ("on", 0):
                super().__call__(variant, seed, items[:1], folder)
                raise KeyboardInterrupt
            return super().__call__(variant, seed, items, folder)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, Killed())
    maker = DrawnClips()
    cells, _ = run(tmp_path, maker)
    assert [cell.kept for cell in cells] == [True, True, False, False]
    assert maker.made == [("on", 0, "i1"), ("on", 0, "i2"), *(("on", 1, f"i{n}") for n in range(3))]
    for seed in (0, 1):
        for variant in ("off", "on"):
            assert sha256_tree(cell_folder(tmp_path, variant, seed) / "result") == sha256_tree(
                cell_folder(finished, variant, seed) / "result"
            )


def test_what_could_not_be_made_is_said_and_tried_again(tmp_path: Path) -> None:
    cells, said = run(tmp_path, DrawnClips(fails={"i1": "too long"}))
    assert "on, seed 1: scored; 1 items could not be made" in said
    table = tabulate(small_sweep(), TASK, ITEMS, cells, "drawn", ONE)
    assert len(table["failures"]) == 4
    figure = table["variants"]["on"]["figures"]["flicker[frames]"]
    assert (figure["value"], figure["n"], figure["eligible"]) == (None, 4, 6)
    assert figure["reason"] == "only 4 of 6 have a value, 90% must; mostly: too long"
    rows = by_column(read_rows(cells[0].result / "rows.jsonl"))["flicker[frames]"]
    assert {row.item_id: row.reason for row in rows if row.value is None} == {"i1": "too long"}
    maker = DrawnClips()
    run(tmp_path, maker)
    assert {item for _, _, item in maker.made} == {"i1"}


def test_no_items_and_unknown_metrics_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    maker = DrawnClips()
    with pytest.raises(InputError, match="task tiny has no metric beauty; it has flicker, silence_share"):
        run(tmp_path, maker, small_sweep(metrics=["beauty"]))
    with pytest.raises(InputError, match="selects none"):
        run_sweep(small_sweep(), TASK, [], maker, tmp_path, FeatureCache(tmp_path), ONE, quietly, print)
    assert maker.made == []


def table_of(folder: Path, values: Any, task: Any = TASK, **changes: Any) -> dict[str, Any]:
    return tabulate(small_sweep(), task, ITEMS, cells_of(folder, values, **changes), "m", ONE)


def test_differences_are_of_the_same_item_and_seed(tmp_path: Path) -> None:
    """Items and seeds differ by far more than the variants do: only pairs show that `on` is 0.1 more everywhere."""
    base = {seed: {"a[x]": {f"i{n}": 100.0 * n + 10 * seed for n in range(3)}} for seed in (0, 1)}
    more = {
        seed: {column: {item: value + 0.1 for item, value in by_item.items()} for column, by_item in columns.items()}
        for seed, columns in base.items()
    }
    found = table_of(tmp_path, {"off": base, "on": more})["variants"]["on"]
    difference = found["differences"]["a[x]"]
    assert [difference[key] for key in ("value", "ci_low", "ci_high")] == pytest.approx([0.1] * 3)
    assert found["figures"]["a[x]"]["ci_high"] - found["figures"]["a[x]"]["ci_low"] > 50


def test_a_pair_lacks_what_one_of_the_two_lacks(tmp_path: Path) -> None:
    off = {seed: {"a[x]": {"i0": 1.0, "i1": 2.0, "i2": 3.0}} for seed in (0, 1)}
    on = {seed: {"a[x]": {"i0": 2.0, "i1": 3.0, "i2": None if seed else 9.0}} for seed in (0, 1)}
    cells = cells_of(tmp_path, {"off": off, "on": on})
    table = tabulate(small_sweep(), TASK, ITEMS, cells, "m", replace(ONE, min_coverage=0.5))
    difference = table["variants"]["on"]["differences"]["a[x]"]
    assert difference["n"] == 5
    assert difference["value"] == pytest.approx((1 + 1 + 6 + 1 + 1) / 5)


def test_subsets_weigh_alike_where_the_task_says_so(tmp_path: Path) -> None:
    values = {seed: {"a[x]": {"i0": 1.0, "i1": 3.0, "i2": 8.0}} for seed in (0, 1)}
    task = a_task("flicker", aggregation="mean_of_subsets")
    found = table_of(tmp_path, {"off": values, "on": values}, task)["variants"]["on"]["figures"]["a[x]"]
    assert found["value"] == pytest.approx((2 + 8) / 2)


def test_distances_of_sets_are_paired_by_seed(tmp_path: Path) -> None:
    def figures(value: float) -> list[dict[str, Any]]:
        return [a_figure("fd[y]", value, level="set")]

    cells = [
        cell
        for name, values in (("off", (5.0, 6.0)), ("on", (4.0, 5.5)))
        for seed, value in enumerate(values)
        for cell in cells_of(tmp_path, {name: {seed: {}}}, figures=figures(value))
    ]
    table = tabulate(small_sweep(), TASK, ITEMS, cells, "m", ONE)
    difference = table["variants"]["on"]["differences"]["fd[y]"]
    assert difference["value"] == pytest.approx(-0.75)
    assert difference["ci_low"] == pytest.approx(-0.75 - 12.706 * 0.25, abs=0.01)
    one = tabulate(small_sweep(seeds=[0]), TASK, ITEMS, [c for c in cells if c.seed == 0], "m", ONE)
    difference = one["variants"]["on"]["differences"]["fd[y]"]
    assert (difference["value"], difference["ci_low"], difference["better"]) == (-1.0, None, "")
    assert "give the sweep more seeds" in difference["reason"]


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no sweep.json"):
        read_table(tmp_path)
    (tmp_path / "sweep.json").write_text("{}")
    with pytest.raises(InputError, match="is no table"):
        read_table(tmp_path)


def test_a_table_has_no_number_that_json_does_not_know(tmp_path: Path) -> None:
    values = {seed: {"a[x]": {"i0": None, "i1": None, "i2": 1.0}} for seed in (0, 1)}
    table = table_of(tmp_path / "cells", {"off": values, "on": values})
    write_table(tmp_path / "result", table)
    assert not any(np.isnan(f["value"] or 0) for f in read_table(tmp_path)["variants"]["on"]["figures"].values())
