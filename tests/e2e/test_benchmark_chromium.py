"""The page of a benchmark in a real browser: tables that sort, clips that play, charts with the right marks."""

from pathlib import Path
from typing import Any

import pytest

from nava.pages.shell import anchor
from tests.e2e.test_page_chromium import CONTRAST
from tests.e2e.visit import PHONE, Visit, play
from tests.pages.sample_benchmark import ITEMS, METRICS, MISSING, MODELS, item_id, value, write_sample

pytestmark = pytest.mark.e2e
GAPS = "onset_f1[tracks]"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("benchmark"))


def column_of(visit: Visit, table: int, name: str) -> tuple[Any, list[str]]:
    """The button of a column, and the texts of its cells from top to bottom."""
    whole = visit.page.locator("table.sortable").nth(table)
    names = whole.locator("thead th").all_inner_texts()
    index = next(number for number, text in enumerate(names) if text.startswith(name))
    cells = whole.locator("tbody tr").evaluate_all(
        "(rows, index) => rows.map((row) => row.cells[index].dataset.sort)", index
    )
    return whole.locator("thead .sort").nth(index), cells


def test_the_page_opens_without_errors_and_asks_for_nothing(browser: Any, page: Path) -> None:
    for scheme in ("light", "dark"):
        with Visit(browser, page, color_scheme=scheme) as visit:
            visit.page.wait_for_timeout(100)
            assert visit.complaints == []
            assert [asked for asked in visit.requests if not asked.startswith("data:")] == [page.as_uri()[:100]]
            visit.page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            assert visit.page.evaluate(CONTRAST) == []


def test_a_phone_needs_no_sideways_scrolling(browser: Any, page: Path) -> None:
    with Visit(browser, page, viewport=PHONE) as visit:
        assert visit.page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_a_column_sorts_as_numbers_up_and_down_with_what_is_missing_last(browser: Any, page: Path) -> None:
    with Visit(browser, page) as visit:
        visit.page.locator("#samples summary").first.click()
        known = sorted(found for number in range(ITEMS) if (found := value(GAPS, "base", number)) is not None)
        for turn, (order, expected) in enumerate((("ascending", known), ("descending", known[::-1]))):
            button, _ = column_of(visit, 0, GAPS)
            button.click()
            _, cells = column_of(visit, 0, GAPS)
            assert [float(cell) for cell in cells if cell] == expected, f"turn {turn}"
            assert cells[len(known) :] == [""] * len(MISSING["base", GAPS])
            heads = visit.page.locator("table.sortable").first.locator("thead th[aria-sort]")
            assert heads.count() == 1
            assert heads.get_attribute("aria-sort") == order
        button, _ = column_of(visit, 0, "Item")
        button.click()
        assert column_of(visit, 0, "Item")[1] == sorted(item_id(number) for number in range(ITEMS))
        # The other results' tables are left alone.
        assert visit.page.locator("table.sortable").nth(1).locator("thead th[aria-sort]").count() == 0


def test_charts_have_a_mark_for_every_value(browser: Any, page: Path) -> None:
    gone = sum(map(len, MISSING.values()))
    with Visit(browser, page) as visit:

        def count(selector: str) -> int:
            return int(visit.page.locator(selector).count())

        assert count("#plots circle.value") == len(MODELS) * len(METRICS) * ITEMS - gone
        assert count("#plots svg.spread > rect.box") == len(MODELS) * len(METRICS)
        # The metric of sets has a bar and an interval, and no items.
        assert count("#plots .bar-end") == count("#plots line.error") == len(MODELS) * (len(METRICS) + 1)
        assert count("#radar polygon.radar-shape") == len(MODELS)
        assert count("#radar circle.radar-dot") == len(MODELS) * len(METRICS)
        visit.page.locator("#radar summary").last.click()
        assert "fd.frechet_lite[mel_moments] one number for all" in visit.page.locator("#radar").inner_text()
        for title in visit.page.locator("#plots svg[role=img] > title, #radar svg > title").all_text_contents():
            assert title.strip()
        said = visit.page.locator(f"#metric-{anchor(GAPS)} .n").all_inner_texts()
        assert [" ".join(text.split()) for text in said] == ["22 values 2 missing", "23 values 1 missing", "24 values"]


def test_dots_lie_where_their_values_are(browser: Any, page: Path) -> None:
    """The dots of a row in the order of their values, and none beyond the ends of the axis."""
    with Visit(browser, page) as visit:
        shares = visit.page.locator("#plots svg.spread").first.locator("circle.value").evaluate_all(
            "(dots) => dots.map((dot) => parseFloat(dot.getAttribute('cx')))"
        )  # fmt: skip
        assert shares == sorted(shares)
        assert 0 <= shares[0] <= shares[-1] <= 100
        assert shares[-1] > shares[0] + 5


def test_clips_and_recordings_of_all_results_play(browser: Any, page: Path) -> None:
    with Visit(browser, page) as visit:
        assert visit.page.locator("#clips article").count() == 3
        assert visit.page.locator("#clips video").count() == 2 * len(MODELS)
        for index in range(2 * len(MODELS)):
            state = play(visit.page, index)
            assert state["error"] == ""
            assert (state["width"], state["height"]) == (64, 64)
        seconds = visit.page.locator("#clips audio").evaluate_all(
            """(all) => Promise.all(all.map(async (one) => {
                 if (one.readyState < 1) await new Promise((done) => one.addEventListener("loadedmetadata", done));
                 return one.duration;
               }))"""
        )
        assert seconds == pytest.approx([1.5] * len(MODELS), abs=0.05)
        assert visit.complaints == []


def test_published_rows_are_marked_and_no_embedded_figure_stands_among_them(browser: Any, page: Path) -> None:
    with Visit(browser, page) as visit:
        table = visit.page.locator("table.published")
        assert table.locator("tr.is-published .tag").all_inner_texts() == ["published"] * 5
        assert table.locator("tr.is-measured .tag").all_inner_texts() == ["measured here"] * len(MODELS)
        heads = [text.split()[0] for text in table.locator("thead th").all_inner_texts()]
        for row in table.locator("tr.is-measured").all():
            cells = dict(
                zip(heads, [row.locator("th").inner_text(), *row.locator("td").all_inner_texts()], strict=True)
            )
            assert cells["Sync-C"].split()[0].replace(".", "").isdigit()
            assert all(cells[title].startswith("–") for title in ("Sync-D", "IB", "VQ", "WER", "PQ", "FD"))
        notes = visit.page.locator("#published .footnotes").inner_text()
        assert "syncnet has never run on its real weights" in notes
        assert "the embedded pocketsphinx is another ruler" in notes
        assert "over 24 of the benchmark's 600 items" in notes


def test_links_lead_to_the_tables(browser: Any, page: Path) -> None:
    with Visit(browser, page) as visit:
        links = visit.page.locator(".beside a").evaluate_all("(all) => all.map((one) => one.getAttribute('href'))")
        assert links == ["table.md", "table.tex", "published.md", "published.tex"]
        assert all((page.parent / link).is_file() for link in links)


def test_text_from_outside_does_not_run(browser: Any, page: Path) -> None:
    with Visit(browser, page) as visit:
        assert visit.page.locator("main tuned, main onset").count() == 0
        assert "large & <tuned>" in visit.page.locator("#figures").inner_text()


def test_many_items_are_columns_of_counts(browser: Any, tmp_path: Path) -> None:
    with Visit(browser, write_sample(tmp_path, items=200)) as visit:
        assert visit.page.locator("#plots circle.value").count() == 0
        titles = visit.page.locator("#plots svg.spread").first.locator("rect.value > title").all_text_contents()
        assert sum(int(title.rpartition(": ")[2]) for title in titles) == 200
        assert visit.complaints == []
