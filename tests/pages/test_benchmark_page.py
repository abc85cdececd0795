"""The page of a benchmark: figures with intervals and coverage, reasons instead of numbers, nothing unescaped."""

from typing import Any

from nava.evaluation.run.tables import latex_table, markdown_table
from nava.pages.benchmark_page import BenchmarkResult, render_benchmark
from tests.evaluation.run.results import a_figure

ROW = {"item_id": "i<1>", "subset": "one", "metric": "flicker", "backend": "frames", "value": None, "reason": "no <b>"}


def summary(*figures: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "title": "Tiny <bench>", "task": "tiny.v1", "edition": "test", "items": 3, "manifest_sha256": "f" * 64,
        "min_coverage": 0.9, "figures": list(figures), "absent": [], "model": "m", **changes,
    }  # fmt: skip


def page(*results: BenchmarkResult) -> str:
    return " ".join(render_benchmark(results).split())


def test_figures_of_results_stand_side_by_side() -> None:
    first = summary(a_figure("flicker[frames]", 1.25, ci_low=1.0, ci_high=1.5))
    second = summary(a_figure("flicker[frames]", 2.0, ci_low=1.9, ci_high=2.1), a_figure("wer[x]", 0.5, unproven=True))
    html = page(BenchmarkResult("mine", first), BenchmarkResult("theirs", second))
    assert "[1.00, 1.50]" in html
    assert "3 of 3" in html
    assert "not asked for" in html
    assert "x · unproven" in html
    assert html.count('<line class="whisker tone-') == 2


def test_what_is_missing_is_said() -> None:
    short = a_figure("flicker[frames]", 1.0, covered=False, n=1, reason="only 1 of 3 items have a value")
    none = a_figure("wer[x]", None, covered=False, n=0, reason="none has a value")
    absent = [{"metric": "sync_c", "backend": "syncnet", "reason": "no weights are configured"}]
    html = page(BenchmarkResult("mine", summary(short, none, absent=absent), [ROW]))
    assert "1 of 3 · too few" in html
    assert "none has a value" in html
    assert "<code>sync_c[syncnet]</code> no weights are configured" in html
    assert "1 values missing" in html
    assert 'data-sort=""' in html


def test_text_from_outside_is_escaped() -> None:
    html = page(BenchmarkResult("<script>x", summary(a_figure("flicker[frames]")), [ROW]))
    for text in ("<script>x", "<bench>", "i<1>", "no <b>"):
        assert text not in html


def test_tables_for_papers_have_a_dash_for_what_is_missing_and_escape_what_is_special() -> None:
    results = [
        ("a_b", summary(a_figure("flicker[frames]", 1.25, ci_low=1.0, ci_high=1.5), a_figure("wer[x]", 0.1))),
        ("c&d|e", summary(a_figure("flicker[frames]", 9.0, covered=False))),
    ]
    markdown = markdown_table(results).splitlines()
    assert markdown[0] == "| model | flicker[frames] ↓ | wer[x] ↓ |"
    assert markdown[2] == "| a_b | 1.25 [1, 1.5] | 0.1 |"
    assert markdown[3] == "| c&d e | – | – |"
    latex = latex_table(results)
    assert r"a\_b & 1.25 {\scriptsize [1, 1.5]} & 0.1 \\" in latex
    assert r"c\&d|e & – & – \\" in latex
    assert latex.startswith(r"\begin{tabular}{lrr}")
