"""The page of two corpus versions."""

import re

from nava.pages.corpus_diff_page import render_corpus_diff

RECORD = {
    "parent": "",
    "reason": "",
    "recipe": "demo",
    "config_sha256": "c" * 64,
    "content_sha256": "d" * 64,
    "counts": {"in": 3, "kept": 2, "dropped": 1},
}


def move(number, reason="silent", status="dropped", path="a.mp4"):
    names = {"clip_id": f"clip-{number}", "src_id": "src-1", "src_path": path}
    return {**names, "status": status, "reason": reason, "detail": ""}


def difference(**changes):
    plain = {
        "repository": "/corpora/toy",
        "old": {**RECORD, "version": "v1"},
        "new": {**RECORD, "version": "v2", "parent": "v1", "reason": "without origin web"},
        "added": [],
        "removed": [],
        "changed": {},
        "unchanged": 2,
        "sources_added": [],
        "sources_removed": [],
        "numeric": [],
        "categories": [],
        "not_compared": [],
        "stages": {},
        "shards": {"shared": 1, "added": 0, "removed": 0, "added_bytes": 0},
    }
    return {**plain, **changes}


def numeric(column="sharpness", psi=0.3):
    summary = {"n": 4, "missing": 0, "mean": 0.5}
    shape = {"edges": [0.0, 0.5, 1.0], "old_share": [0.5, 0.5], "new_share": [0.25, 0.75]}
    return {"column": column, "unit": "s", "old": summary, "new": summary, "ks": 0.25, "psi": psi, **shape}


def text(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_versions_counts_and_reasons_are_shown():
    page = text(render_corpus_diff(difference(added=[move(1)], removed=[move(2, "forgotten", "")])))
    assert "Corpus v1 → v2" in page
    assert "kept now, and before dropped: silent" in page
    assert "its source was forgotten" in page
    assert "without origin web" in page


def test_a_difference_without_anything_can_be_shown():
    page = text(render_corpus_diff(difference()))
    assert page.count("None.") == 5
    assert "No clip has a value in a column that both manifests have." in page


def test_columns_without_values_are_named_and_not_drawn():
    empty = {**numeric("motion", None), "edges": [], "old_share": [], "new_share": []}
    nameless = {"column": "subsets", "old": {"": 4}, "new": {"": 5}, "psi": 0.0}
    page = render_corpus_diff(difference(numeric=[empty], categories=[nameless], not_compared=["later"]))
    assert "<h3>" not in page.split("Measured distributions")[1]
    assert "No clip of either version has a value of: motion, subsets." in text(page)
    assert "Not in both manifests: later." in text(page)


def test_names_cannot_write_html():
    hostile = "<script>alert(1)</script>"
    category = {"column": "tags", "old": {hostile: 1}, "new": {}, "psi": 0.2}
    source = {"src_path": hostile, "src_id": hostile, "origin": hostile, "licence": hostile, "kept": 1}
    page = render_corpus_diff(
        difference(
            removed=[move(1, hostile, "dropped", hostile)],
            changed={hostile: [hostile]},
            sources_added=[source],
            categories=[category],
            numeric=[numeric(hostile)],
            stages={hostile: [[hostile], []]},
        )
    )
    assert hostile not in page
    assert "&lt;script&gt;" in page


def test_long_lists_are_cut_and_say_so():
    page = render_corpus_diff(difference(removed=[move(number) for number in range(500)]))
    assert page.count("<code>clip-") == 200
    assert "500 clips, the first 200 shown" in text(page)


def test_many_categories_show_those_that_moved_most():
    old = {f"origin-{number:02d}": 100 for number in range(30)}
    new = old | {"origin-07": 900}
    category = {"column": "origin", "old": old, "new": new, "psi": 0.5}
    page = text(render_corpus_diff(difference(categories=[category])))
    assert "origin-07" in page
    assert "and 18 more" in page


def test_what_moved_most_comes_first_with_its_distances_and_a_plot():
    page = render_corpus_diff(difference(numeric=[numeric("lufs", 0.01), numeric("motion", 0.9), numeric("fps", None)]))
    names = re.findall(r"<h3>(lufs|motion|fps)", page)
    assert names == ["motion", "lufs", "fps"]
    assert page.count('<svg class="plot"') == 3
    words = text(page)
    assert "moved far PSI 0.900 KS 0.250" in words
    assert "stable PSI 0.010" in words
    assert "not measured in both" in words


def test_the_page_loads_nothing():
    page = render_corpus_diff(difference(numeric=[numeric()]))
    assert "default-src &#39;none&#39;" in page
    assert "<script" not in page
    assert "src=" not in page
