"""The page of a benchmark: figures with intervals and coverage, reasons instead of numbers, nothing unescaped."""

from typing import Any

from nava.evaluation.run.tables import latex_table, markdown_table
from nava.pages.benchmark_charts import metric_chart, radar_view
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
    assert html.count('<line class="error"') == 2


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


def rows_of(values: list[float | None], metric: str = "flicker", backend: str = "frames") -> list[dict[str, Any]]:
    return [
        {"item_id": f"i{n}", "subset": "one", "metric": metric, "backend": backend, "protocol": f"{metric}.v1",
         "value": value, "reason": "" if value is not None else "gone"}
        for n, value in enumerate(values)
    ]  # fmt: skip


def three(label: str, means: tuple[float, float, float], **changes: Any) -> BenchmarkResult:
    """Metrics a (lower is better), b (higher) and c (higher), each over items at 0, half and 1 of the axis."""
    names = {"a": "lower", "b": "higher", "c": "higher"}
    figures = [
        a_figure(f"{name}[x]", mean, direction=direction, **changes.get(name, {}))
        for (name, direction), mean in zip(names.items(), means, strict=True)
    ]
    rows = [row for name in names for row in rows_of([0.0, 5.0, 10.0], name, "x")]
    return BenchmarkResult(label, summary(*figures), rows)


def test_the_radar_has_better_outwards_whatever_the_direction() -> None:
    view = radar_view(["a[x]", "b[x]", "c[x]"], [three("one", (2.0, 2.0, 5.0)), three("two", (10.0, 10.0, 0.0))])
    assert [axis["shares"] for axis in view["axes"]] == [[0.8, 0.0], [0.2, 1.0], [0.5, 0.0]]
    assert (view["axes"][0]["worst"], view["axes"][0]["best"]) == ("10", "0")
    assert (view["axes"][1]["worst"], view["axes"][1]["best"]) == ("0", "10")


def test_the_radar_leaves_out_what_results_do_not_share_with_the_reason() -> None:
    first = three("one", (2.0, 2.0, 5.0), b={"covered": False})
    second = three("two", (1.0, 1.0, 5.0))
    second.summary["figures"].pop()
    alone = a_figure("fd[y]", 3.0, level="set")
    for result in (first, second):
        result.summary["figures"].append(alone)
    view = radar_view(["a[x]", "b[x]", "c[x]", "fd[y]"], [first, second])
    assert [axis["column"] for axis in view["axes"]] == ["a[x]"]
    assert {entry["column"]: entry["reason"] for entry in view["left_out"]} == {
        "b[x]": "not every result has values for enough items",
        "c[x]": "not asked for of two",
        "fd[y]": "one number for all items together: no range to place it in",
    }
    assert (view["too_few"], view["svg"]) == (True, "")
    assert "No radar: it takes three metrics" in page(first, second)


def test_items_of_another_protocol_are_not_spread_under_a_figure() -> None:
    figure = a_figure("flicker[frames]", 1.0)
    rows = rows_of([1.0, None, 3.0])
    rows[2]["protocol"] = "flicker.v2"
    result = BenchmarkResult("one", summary(figure), rows)
    assert result.values(figure) == ([("i0", 1.0)], 1)
    (row,) = metric_chart("flicker[frames]", [result])["rows"]
    assert (row["n"], row["missing"]) == (1, 1)


def test_what_is_beside_the_page_is_linked_and_nothing_else() -> None:
    result = BenchmarkResult("one", summary(a_figure("flicker[frames]")))
    html = render_benchmark([result], files={"table.md": "all", "javascript:alert(1)": "<b>"})
    assert '<a href="table.md">table.md</a> (all)' in html
    assert 'href="javascript' not in html
    assert "<b>" not in html
