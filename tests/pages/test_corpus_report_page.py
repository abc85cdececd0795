"""The report on a corpus: accounts, stages, scores and records, on a server or as a file; text stays text."""

import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from nava.pages.clip_page import MediaFacts
from nava.pages.corpus_report_page import (
    CategoryFacts,
    ClipCard,
    CorpusReport,
    DistributionFacts,
    GateFacts,
    RecordQuery,
    StageFacts,
    render_corpus_report,
    render_record_list,
)

ATTACK = "</title><script>window.attacked=1</script><img src=x onerror=alert(1)>\"'&"


def card(number: int, text: str = "plain", **changes: Any) -> ClipCard:
    known = ClipCard(f"{number:024}", f"/clips/{number:024}", "dropped", "silent", text, text, MediaFacts(poster="p"))
    return replace(known, **changes)


def report(text: str = "plain", **changes: Any) -> CorpusReport:
    known = CorpusReport(
        name=text,
        folder=text,
        counts={"in": 10, "kept": 6, "dropped": 3, "failed": 0, "quarantined": 1},
        sources=5,
        kept_s={"with pictures": 60.0},
        source_s=100.0,
        reasons={"silent": 3, "undecodable": 1},
        ignored={"not_media": 2},
        ignored_files=[(text, "not_media", text), ("b.txt", "not_media", "")],
        stages=[
            StageFacts("integrity", "2", 10, {"undecodable": 1}, 2.0, 100.0),
            StageFacts("filters", "3", 9, {"silent": 3}, None, 80.0),
        ],
        cpu_s=20.0,
        distributions=[
            DistributionFacts("lufs", "Loudness", "LUFS", [-60, -40, -20], [1, 5], [3, 0], [-50.0], 1, -25.0)
        ],
        categories=[CategoryFacts("Sound", {text: 4, "": 2}, ["yamnet (unproven)"]), CategoryFacts("Collection", {})],
        gate=GateFacts(False, 9, [text], False, "/gate"),
        gallery=[card(1, text, status="kept", reason="", media=MediaFacts(video="v"))],
        records=[card(number, text) for number in range(2, 6)],
        facts={"program": text, "settings sha256": "0" * 64},
    )
    return replace(known, **changes)


def test_the_accounts_are_an_equation() -> None:
    html = render_corpus_report(report())
    equation = re.sub(
        r"<[^>]+>|\s+", " ", html[html.index('class="equation"') : html.index("</p>", html.index('class="equation"'))]
    )
    assert re.sub(r"\s+", " ", equation).endswith(
        "10 records from 5 files = 6 kept + 3 dropped + 0 failed + 1 quarantined "
    )


def test_the_figures_at_the_top() -> None:
    html = render_corpus_report(report())
    assert "60 % of 10 records" in html
    assert "2 other entries ignored" in html
    assert "<strong>5 s</strong>" in html
    assert "Media per core-second" not in render_corpus_report(report(cpu_s=None))


def test_stages_show_what_came_through_and_what_it_cost() -> None:
    html = render_corpus_report(report())
    rows = html[html.index("grid-table funnel") :]
    integrity = rows[rows.index(">integrity<") : rows.index(">filters<")]
    assert ">9<" in integrity
    assert "1 undecodable" in integrity
    assert ">2.00<" in integrity
    assert "50 s/s" in integrity
    filters = rows[rows.index(">filters<") : rows.index("</table>")]
    assert ">6<" in filters
    assert "s/s" not in filters


@pytest.mark.parametrize(
    ("gate", "there"),
    [
        (None, "nava data validate"),
        (GateFacts(True, 81, [], False, ""), "All 81 rules of the data gate hold."),
        (GateFacts(True, 81, [], True, ""), "The clips are newer than this verdict"),
        (GateFacts(False, 81, [f"rule {n}" for n in range(9)], False, ""), "and 3 more"),
    ],
)
def test_the_gate_is_said_first(gate: GateFacts | None, there: str) -> None:
    html = render_corpus_report(report(gate=gate))
    assert there in html[: html.index('id="accounts"')]
    assert "Read the verdict" not in html


def test_backends_that_never_ran_for_real_are_marked() -> None:
    html = render_corpus_report(report())
    assert "never run on real weights" in html
    assert "(none)" in html
    assert "Collection" not in html


def test_a_long_list_of_kinds_is_cut() -> None:
    many = CategoryFacts("Origin", {f"origin {number}": 100 - number for number in range(50)})
    html = render_corpus_report(report(categories=[many]))
    assert "origin 13" in html
    assert "origin 14" not in html
    assert "and 36 more" in html


def test_on_a_server_records_are_linked_and_searched_there() -> None:
    html = render_corpus_report(report(), on_server=True)
    assert 'href="/clips?status=not_kept&amp;reason=silent&amp;page=1"' in html
    assert f'href="/clips/{2:024}"' in html
    assert '<form class="filters" method="get" action="/clips"' in html
    assert "form-action &#39;self&#39;" in html
    assert 'id="record-search"' not in html


def test_as_a_file_records_are_filtered_in_the_page_and_nothing_is_fetched() -> None:
    unlinked = [replace(one, href="", media=MediaFacts()) for one in report().records]
    html = render_corpus_report(report(records=unlinked, gallery=[], gate=None))
    assert 'id="record-search"' in html
    assert 'data-reason="silent"' in html
    assert "form-action &#39;none&#39;" in html
    assert re.findall(r'(?:href|src)="(?!#|data:)', html) == []
    whole = render_corpus_report(report(records=unlinked[:1]))
    assert "The first 1 are here" in whole


@pytest.mark.parametrize("on_server", [True, False])
def test_text_from_outside_stays_text(on_server: bool) -> None:
    pages = [render_corpus_report(report(ATTACK), on_server=on_server)]
    pages.append(render_record_list(ATTACK, RecordQuery("kept", ATTACK, ATTACK), [card(1, ATTACK)], 1, 1, {ATTACK: 1}))
    pages.append(render_record_list(ATTACK, RecordQuery("", "", ATTACK, 2), [card(1, ATTACK)], 90, 3, {}))
    for html in pages:
        assert "<script>window" not in html
        assert "<img src=x" not in html


def test_an_empty_corpus_says_what_it_lacks() -> None:
    nothing = report(
        counts=dict.fromkeys(("in", "kept", "dropped", "failed", "quarantined"), 0),
        sources=0,
        kept_s={},
        source_s=0.0,
        reasons={},
        ignored={},
        ignored_files=[],
        stages=[],
        cpu_s=None,
        distributions=[],
        categories=[],
        gate=None,
        gallery=[],
        records=[],
        facts={},
    )
    html = render_corpus_report(nothing, on_server=True)
    for said in ("No clip was kept", "Every record was kept", "Nothing was measured", "no record of the settings"):
        assert said in html


def test_a_long_list_of_ignored_entries_is_cut() -> None:
    many = [(f"note-{number}.txt", "not_media", "") for number in range(300)]
    html = render_corpus_report(report(ignored={"not_media": 300}, ignored_files=many))
    assert "note-199.txt" in html
    assert "note-200.txt" not in html
    assert "ignored.parquet has all" in html


def test_pages_of_a_question_lead_to_each_other() -> None:
    query = RecordQuery("not_kept", "silent", "a b&c", 2)
    html = render_record_list("corpus", query, [card(1)], 120, 3, {"silent": 120})
    before, after = (re.search(rf'rel="{name}" href="([^"]+)"', html) for name in ("prev", "next"))
    assert before is not None
    assert after is not None
    asked = parse_qs(urlsplit(after[1].replace("&amp;", "&")).query)
    assert asked == {"status": ["not_kept"], "reason": ["silent"], "words": ["a b&c"], "page": ["3"]}
    assert "page 2 of 3" in html
    assert '<option value="silent" selected>' in html
    assert '<option value="not_kept" selected>' in html


@pytest.mark.parametrize(("page", "pages", "links"), [(1, 1, []), (1, 2, ["next"]), (2, 2, ["prev"])])
def test_there_is_no_page_before_the_first_or_behind_the_last(page: int, pages: int, links: list[str]) -> None:
    html = render_record_list("corpus", RecordQuery(page=page), [card(1)], 60, pages, {})
    assert re.findall(r'rel="(prev|next)"', html) == links


def test_kept_records_are_a_gallery_and_others_a_table() -> None:
    kept = render_record_list("corpus", RecordQuery("kept"), [card(1, media=MediaFacts(video="v"))], 1, 1, {})
    assert "<video controls" in kept
    assert "<table" not in kept
    assert "<table" in render_record_list("corpus", RecordQuery("dropped"), [card(1)], 1, 1, {})
    assert "No record matches" in render_record_list("corpus", RecordQuery("kept"), [], 0, 1, {})
