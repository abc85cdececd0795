"""The paper's two ablation tables: its own numbers and layout, and dashes where the very metric was not computed."""

import json
from pathlib import Path
from typing import Any

import pytest

from nava.config.ablation import VARIANTS
from nava.evaluation.catalogue.manifest import catalogue
from nava.evaluation.published.grid import Grid, latex, markdown
from nava.evaluation.run.score import ScoringSettings
from nava.evaluation.sweep.paper_tables import architecture_grids, guidance_grids, layout
from nava.evaluation.sweep.table import tabulate
from nava.runtime.errors import InputError
from tests.evaluation.benchmark_items import a_task
from tests.evaluation.run.results import a_figure
from tests.evaluation.sweep.sweeps import cells_of, small_sweep
from tests.evaluation.sweep.test_sweep_run import ITEMS

ABLATION = Path(__file__).resolve().parents[3] / "benchmarks" / "results" / "ablation.json"


def swept(folder: Path, tier: str = "paper", **changes: Any) -> dict[str, Any]:
    """A sweep whose Sync-C is 1 more with guidance, for every item and seed, and whose WER an embedded backend gave."""

    def values(more: float) -> dict[int, dict[str, dict[str, float | None]]]:
        by_item: dict[str, float | None] = {f"i{n}": 5.0 + n + more for n in range(3)}
        return {seed: {"sync_c.mova[syncnet]": by_item, "wer.nfkc_cjk[pocketsphinx]": by_item} for seed in (0, 1)}

    figures = [
        a_figure("sync_c.mova[syncnet]", tier=tier, direction="higher"),
        a_figure("wer.nfkc_cjk[pocketsphinx]", tier="embedded"),
    ]
    cells = cells_of(folder, {"off": values(0.0), "on": values(1.0)}, figures=figures)
    return tabulate(small_sweep(**changes), a_task("flicker"), ITEMS, cells, "m", ScoringSettings())


def rows_of(grid: Grid) -> dict[str, dict[str, str]]:
    titles = [title for title, _ in grid.head][1:]
    found = {}
    for row in grid.rows:
        texts = [f"{cell.value} {cell.interval}".strip() for cell in row.cells]
        found[f"{row.label} {row.origin}"] = dict(zip(titles, texts, strict=True))
    return found


def test_the_paper_s_numbers_are_as_in_the_paper_and_of_metrics_that_there_are() -> None:
    guidance = layout("guidance")["blocks"]
    assert [row["values"]["Sync-C"] for row in guidance["align"]["rows"].values()] == ["6.170", "7.791"]
    assert guidance["timbre"]["rows"]["with"]["values"] == {"WER": "0.0420", "SIM": "0.667"}
    architecture = layout("architecture")
    assert [(row["hal"], row["ufl"], row["parameters"]) for row in architecture["rows"]] == [
        (False, True, "5B"), (True, True, "6.3B"), (True, False, "7.7B"),
    ]  # fmt: skip
    assert {row["variant"] for row in architecture["rows"]} < set(VARIANTS)
    columns = [*guidance["align"]["columns"].values(), *guidance["timbre"]["columns"].values()]
    assert {*columns, *architecture["columns"].values()} <= set(catalogue())


def test_a_sweep_s_variants_are_the_rows_of_its_block_with_their_paired_difference(tmp_path: Path) -> None:
    align, timbre, *own = guidance_grids([swept(tmp_path)])
    rows = rows_of(align)
    assert list(rows) == [
        "w/o align CFG published", "w/ align CFG published",
        "w/o align CFG: off measured", "w/ align CFG: on measured", "with - without, paired difference",
    ]  # fmt: skip
    assert rows["w/ align CFG: on measured"]["Sync-C"].startswith("7.0")
    assert rows["with - without, paired difference"]["Sync-C"] == "+1.0000 [1.0000, 1.0000]"
    assert {rows["w/ align CFG: on measured"][title] for title in ("Sync-D", "IB", "VQ", "PQ", "WER")} == {"–"}
    assert [row.origin for row in timbre.rows] == ["published", "published"]
    assert "no sweep that was given has this block" in markdown(timbre)
    assert "wer.nfkc_cjk[pocketsphinx]" in markdown(own[0]), "under its own name, with its backend"
    assert r"\toprule" in latex(align)


def test_an_embedded_figure_never_stands_under_the_paper_s_name(tmp_path: Path) -> None:
    align, *_ = guidance_grids([swept(tmp_path, tier="embedded")])
    measured = [row for row in align.rows if row.origin != "published"]
    assert {cell.value for row in measured for cell in row.cells} == {"–"}
    assert "wer.nfkc_cjk: the embedded pocketsphinx is another ruler" in markdown(align)


def test_blocks_that_the_paper_has_not_and_blocks_given_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="block 'text' of its layout is none of align, timbre"):
        guidance_grids([swept(tmp_path / "a", layout=[{"block": "text", "without": "off", "with": "on"}])])
    table = swept(tmp_path / "b")
    with pytest.raises(InputError, match="block 'align' of its layout is there twice"):
        guidance_grids([table, table])
    with pytest.raises(InputError, match="no sweep says which variants are the paper's rows"):
        guidance_grids([swept(tmp_path / "c", layout=[])])


def test_the_architecture_table_has_the_paper_s_columns_and_this_project_s_losses() -> None:
    table = json.loads(ABLATION.read_text())
    paper, losses = architecture_grids(table)
    assert [title for title, _ in paper.head] == ["", "HAL", "UFL", "Params", "Sync-C", "IB", "VQ", "PQ", "WER"]
    rows = rows_of(paper)
    assert rows["HAL only published"] == {
        "HAL": "yes", "UFL": "no", "Params": "7.7B", "Sync-C": "7.030", "IB": "0.3091", "VQ": "0.6662", "PQ": "5.347",
        "WER": "0.167",
    }  # fmt: skip
    assert rows["UFL only measured"]["HAL"] == "no"
    assert {rows[f"{label} measured"]["Sync-C"] for label in VARIANTS.values()} == {"–"}
    found = rows_of(losses)
    assert found["dual tower measured"]["Video loss (held out)"] == "0.888 [0.876, 0.900]"
    assert found["HAL + UFL measured"]["difference from HAL + UFL"] == ""


def test_variants_that_were_scored_have_their_numbers_and_must_be_of_the_same_items() -> None:
    table = json.loads(ABLATION.read_text())
    figure = a_figure("sync_c.mova[syncnet]", 7.0, ci_low=6.5, ci_high=7.5, tier="paper", direction="higher")
    summary = {"figures": [figure], "absent": [], "manifest_sha256": "1" * 64}
    paper, _ = architecture_grids(table, {"hal_only": summary})
    rows = rows_of(paper)
    assert rows["HAL only measured"]["Sync-C"] == "7.00 [6.50, 7.50]"
    assert rows["HAL + UFL measured"]["Sync-C"] == "–"
    with pytest.raises(InputError, match="no variant towers"):
        architecture_grids(table, {"towers": summary})
    other = {**summary, "manifest_sha256": "2" * 64}
    with pytest.raises(InputError, match="different tasks or items"):
        architecture_grids(table, {"hal_only": summary, "ufl_only": other})
