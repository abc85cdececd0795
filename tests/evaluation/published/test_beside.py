"""Results beside published rows: a number only by the paper's backend, everything else a dash with its reason."""

from typing import Any

from nava.evaluation.published.beside import published_grid
from nava.evaluation.published.grid import Grid, latex, markdown
from tests.evaluation.run.results import a_figure


def summary(*figures: dict[str, Any], **changes: Any) -> dict[str, Any]:
    absent = [{"metric": "audiobox_pq", "backend": "audiobox_aesthetics", "reason": "no weights"}]
    return {
        "task": "verse_bench_nava.nava_rewrite.v1",
        "items": 600,
        "figures": list(figures),
        "absent": absent,
        **changes,
    }


def own_row(grid: Grid) -> dict[str, tuple[str, list[str]]]:
    """The value and the texts of the footnotes of the measured row, by title."""
    row = grid.rows[-1]
    titles = [title for title, _ in grid.head][1:]
    return {
        title: (cell.value, [grid.notes[mark] for mark in cell.marks])
        for title, cell in zip(titles, row.cells, strict=True)
    }


def test_numbers_are_of_paper_backends_alone() -> None:
    grid = published_grid(
        [
            (
                "mine",
                summary(
                    a_figure("sync_c.mova[syncnet]", 6.5, ci_low=6.0, ci_high=7.0, tier="paper", unproven=True),
                    a_figure("wer.nfkc_cjk[pocketsphinx]", 0.05),
                    a_figure("fd.pair_clap[clap_630k_fusion]", 0.8, tier="paper", covered=False, reason="only 2 of 9"),
                ),
            )
        ]
    )
    assert grid is not None
    assert [row.origin for row in grid.rows] == ["published"] * 5 + ["measured"]
    row = own_row(grid)
    value, notes = row["Sync-C"]
    assert value == "6.50"
    assert notes == ["sync_c.mova by syncnet", "syncnet has never run on its real weights"]
    assert row["WER"][0] == "–", "0.05 of another ruler would be the best WER of the table"
    assert "pocketsphinx is another ruler" in row["WER"][1][0]
    assert row["FD"] == ("–", ["fd.pair_clap: only 2 of 9"])
    assert row["PQ"] == ("–", ["audiobox_pq: audiobox_aesthetics: no weights"])
    assert row["IB"] == ("–", ["imagebind.avbench: not among the metrics that were computed"])
    assert "over 600 of the benchmark's 600 items" in markdown(grid)


def test_published_numbers_have_the_digits_of_their_column() -> None:
    grid = published_grid([("mine", summary())])
    assert grid is not None
    rows = {row.label: [cell.value for cell in row.cells] for row in grid.rows}
    assert rows["MOVA"] == ["A18B", "720p", "7.2888", "7.8080", "0.269", "0.603", "0.126", "7.2331", "0.9222"]


def test_nothing_is_put_beside_what_was_not_published() -> None:
    assert published_grid([("mine", summary(task="builtin.seed0.v1"))]) is None


def test_labels_are_text_in_markdown_and_latex() -> None:
    grid = published_grid([("a|b_<i>\n100%", summary())])
    assert grid is not None
    assert r"| a\|b_&lt;i> 100% (measured) |" in markdown(grid)
    assert r"a|b\_<i>" in latex(grid)
    assert r"100\%" in latex(grid)
    assert latex(grid).count(r"\midrule") == 2, "one under the head, one between published and measured"
