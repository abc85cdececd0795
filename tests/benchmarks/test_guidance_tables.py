"""The page about guidance says what its results file says."""

import json
from pathlib import Path

from benchmarks.guidance_tables import BEGIN, END, tables

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


def test_the_page_has_the_tables_of_the_results() -> None:
    found = json.loads((BENCHMARKS / "results" / "guidance.json").read_text())
    page = (BENCHMARKS / "guidance.md").read_text()
    assert page.split(BEGIN)[1].split(END)[0].strip() == tables(found)


def test_a_part_that_was_run_with_fewer_seeds_has_no_line_over_seeds() -> None:
    value = {"value": 0.5, "ci_low": 0.25, "ci_high": 0.75, "n": 8}
    seed = {"on": value, "off": value, "on_minus_off": {**value, "wilcoxon_p": 0.0123}}
    row = {"clips": 8, "by_seed": {"3": seed}, "over_seeds": {}, "through_the_codecs": value}
    made = tables(
        {"alignment": {"flash, longer": row}, "timbre": {}, "tasks": {"stage1": {"clips": 8, "a": [2.0, 1.0]}}}
    )
    assert "| demo, flash, five times stage 3 (n = 8) | 3 | 0.50 [0.25, 0.75] | 0.50 [0.25, 0.75] |" in made
    assert "0.500 [0.250, 0.750], p 0.012 |" in made
    assert "over seeds" not in made
    assert "| a | 2.000 → 1.000 |" in made
