"""The page of two corpus versions: what was added, changed and removed, and how the distributions moved."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from nava.pages.charts import Series, Tone, bar, line_chart
from nava.pages.formats import format_bytes, format_fixed, format_number
from nava.pages.shell import render

_LISTED_RECORDS = 200
_LISTED_CATEGORIES = 12
_STATISTICS = ("n", "missing", "mean", "std", "min", "p05", "p25", "median", "p75", "p95", "max")
# By convention of the population stability index.
_STABLE, _LARGE = 0.1, 0.25
_WORDS = {
    "new_source": "its source is new",
    "new_clip": "a new clip of a source that was there",
    "forgotten": "its source was forgotten",
    "source_not_in_corpus": "its source is not in the corpus any more",
    "no_record": "its source is there, and has no record of it",
}


def render_corpus_diff(diff: Mapping[str, Any]) -> str:
    """Render the difference of two corpus versions as one self-contained HTML page.

    Args:
        diff: the JSON that `nava.data.corpus.diff` writes.

    Returns:
        HTML text. All values are escaped. Long lists are cut, with the number of what is left out.
    """
    old, new = diff["old"], diff["new"]
    numeric = [_numeric_view(shift) for shift in diff["numeric"] if shift["edges"]]
    categories = [
        _category_view(shift) for shift in diff["categories"] if {**shift["old"], **shift["new"]}.keys() - {""}
    ]
    shown = {view["shift"]["column"] for view in (*numeric, *categories)}
    without = [shift["column"] for shift in (*diff["numeric"], *diff["categories"]) if shift["column"] not in shown]
    return render(
        "corpus_diff.html.j2",
        title=f"Corpus {old['version']} → {new['version']}",
        diff=diff,
        old=old,
        new=new,
        tiles=_tiles(diff),
        facts=_facts(old, new),
        added_because=_reason_rows(diff["added"], "good", "kept now, and before"),
        removed_because=_reason_rows(diff["removed"], "bad", "not kept now"),
        changed_columns=_column_rows(diff["changed"]),
        added=diff["added"][:_LISTED_RECORDS],
        removed=diff["removed"][:_LISTED_RECORDS],
        changed=list(diff["changed"].items())[:_LISTED_RECORDS],
        listed=_LISTED_RECORDS,
        words=_WORDS,
        numeric=sorted(numeric, key=lambda view: -(view["shift"]["psi"] or 0)),
        categories=sorted(categories, key=lambda view: -(view["shift"]["psi"] or 0)),
        without=without,
    )


def _tiles(diff: Mapping[str, Any]) -> list[dict[str, str]]:
    old, new = diff["old"]["counts"].get("kept", 0), diff["new"]["counts"].get("kept", 0)
    shards = diff["shards"]
    return [
        {"label": "Kept clips", "value": f"{format_number(old)} → {format_number(new)}", "detail": _signed(new - old)},
        {"label": "Added", "value": format_number(len(diff["added"])), "detail": "clips"},
        {"label": "Removed", "value": format_number(len(diff["removed"])), "detail": "clips"},
        {
            "label": "Changed",
            "value": format_number(len(diff["changed"])),
            "detail": f"{format_number(diff['unchanged'])} clips are the same",
        },
        {
            "label": "Sources",
            "value": f"+{len(diff['sources_added'])} −{len(diff['sources_removed'])}",
            "detail": "new and gone",
        },
        {
            "label": "Stored anew",
            "value": format_bytes(shards["added_bytes"]),
            "detail": f"{shards['added']} shards; {shards['shared']} shared",
        },
    ]


def _signed(change: int) -> str:
    return f"{'+' if change > 0 else '−' if change < 0 else '±'}{format_number(abs(change))}"


def _facts(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """What the records say of either version, where they say something."""
    rows = [("Parent", old["parent"], new["parent"]), ("Made", old["reason"], new["reason"])]
    rows.append(("Recipe", old["recipe"], new["recipe"]))
    rows.append(("Settings", old["config_sha256"][:12], new["config_sha256"][:12]))
    rows.append(("Content", old["content_sha256"][:12], new["content_sha256"][:12]))
    statuses = sorted(set(old["counts"]) | set(new["counts"]), key=lambda name: (name != "in", name != "kept", name))
    rows += [
        (f"Records {name}", format_number(old["counts"].get(name)), format_number(new["counts"].get(name)))
        for name in statuses
    ]
    return [row for row in rows if row[1] or row[2]]


def _reason_rows(moves: Sequence[Mapping[str, Any]], tone: Tone, prefix: str) -> list[tuple[str, int, str]]:
    counts: Counter[str] = Counter()
    for move in moves:
        words = _WORDS.get(move["reason"], move["reason"])
        counts[f"{prefix} {move['status']}: {words}" if move["status"] else words] += 1
    return [(name, count, bar(count, len(moves), tone)) for name, count in counts.most_common()]


def _column_rows(changed: Mapping[str, Sequence[str]]) -> list[tuple[str, int, str]]:
    counts = Counter(column for columns in changed.values() for column in columns)
    return [(name, count, bar(count, len(changed), "warn")) for name, count in counts.most_common()]


def _verdict(psi: float | None) -> str:
    if psi is None:
        return "not measured in both"
    return "stable" if psi < _STABLE else "moved" if psi < _LARGE else "moved far"


def _numeric_view(shift: Mapping[str, Any]) -> dict[str, Any]:
    centres = [(low + high) / 2 for low, high in pairwise(shift["edges"])]
    tones: dict[str, Tone] = {"old": "neutral", "new": "model"}
    series = [
        Series(name, [(x, 100 * share) for x, share in zip(centres, shift[f"{name}_share"], strict=True)], tone)
        for name, tone in tones.items()
        if shift[f"{name}_share"]
    ]
    unit = f", {shift['unit']}" if shift["unit"] else ""
    label = f"{shift['column']}{unit}"
    chart = line_chart(series, title=f"Share of clips by {shift['column']}, per cent", x_label=label, height_px=170)
    rows = [(name, shift["old"].get(name), shift["new"].get(name)) for name in _STATISTICS]
    return {"shift": shift, "chart": chart, "rows": rows, "verdict": _verdict(shift["psi"])}


def _category_view(shift: Mapping[str, Any]) -> dict[str, Any]:
    """Old and new share of each value, those that moved most first where there are many."""
    old, new = shift["old"], shift["new"]
    wholes = [max(1, sum(side.values())) for side in (old, new)]
    shares = {name: (old.get(name, 0) / wholes[0], new.get(name, 0) / wholes[1]) for name in {**old, **new}}
    names = sorted(shares, key=lambda name: (-abs(shares[name][1] - shares[name][0]), -shares[name][1], name))
    rows = [
        {
            "name": name or "(none)",
            "old": old.get(name, 0),
            "new": new.get(name, 0),
            "points": f"{'+' if shares[name][1] > shares[name][0] else ''}"
            f"{format_fixed(100 * (shares[name][1] - shares[name][0]), 1)}",
            "bars": bar(shares[name][0], 1, "neutral") + bar(shares[name][1], 1, "model"),
        }
        for name in names[:_LISTED_CATEGORIES]
    ]
    return {"shift": shift, "rows": rows, "left": len(names) - len(rows), "verdict": _verdict(shift["psi"])}
