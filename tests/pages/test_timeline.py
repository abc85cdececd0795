"""Lanes put spans where they belong on their clock, and never let outside text become markup."""

from xml.etree import ElementTree

import pytest

from nava.pages.timeline import Span, clock, lane

ATTACK = "</svg><script>alert('1')</script>\"&"


def spans_of(svg: str) -> list[dict[str, str]]:
    root = ElementTree.fromstring(svg)
    return [element.attrib for element in root.iter() if "span" in element.get("class", "").split()]


def test_spans_lie_at_their_times() -> None:
    first, second = spans_of(lane([Span(0.0, 1.0, "a", "good"), Span(2.0, 4.0, "b", "warn")], 4.0))
    assert (first["x"], first["width"], first["class"]) == ("0.000%", "25.000%", "span tone-good")
    assert (second["x"], second["width"], second["class"]) == ("50.000%", "50.000%", "span tone-warn")


@pytest.mark.parametrize(("t0_s", "t1_s"), [(1.0, 1.0), (2.0, 1.0), (9.99999, 10.0), (11.0, 12.0), (-5.0, -4.0)])
def test_a_span_without_length_or_outside_the_clock_is_still_inside_the_lane(t0_s: float, t1_s: float) -> None:
    (found,) = spans_of(lane([Span(t0_s, t1_s, "a")], 10.0))
    left, width = (float(found[name].removesuffix("%")) for name in ("x", "width"))
    assert width >= 0.35
    assert left >= 0
    assert left + width <= 100.001


def test_the_current_span_is_drawn_last_and_over_the_others() -> None:
    found = spans_of(lane([Span(0, 1, "this", current=True), Span(0, 2, "other")], 2.0))
    assert [("is-current" in one["class"].split()) for one in found] == [False, True]


def test_links_are_escaped_and_only_where_they_lead_somewhere() -> None:
    svg = lane([Span(0, 1, "a", href="/clips/x"), Span(1, 2, "b", href="javascript:alert(1)"), Span(2, 3, "c")], 3.0)
    root = ElementTree.fromstring(svg)
    assert [element.attrib["href"] for element in root.iter("a")] == ["/clips/x"]
    assert "role" not in root.attrib
    assert ElementTree.fromstring(lane([Span(0, 1, "a")], 1.0)).attrib["role"] == "img"


def test_labels_from_outside_stay_text() -> None:
    svg = lane([Span(0, 1, ATTACK, href=f"/clips/{ATTACK}")], 1.0)
    root = ElementTree.fromstring(svg)
    assert {element.tag for element in root.iter()} == {"svg", "rect", "title", "a"}
    assert root.find(".//title").text == f"{ATTACK}: 0.00 to 1.00 s"  # type: ignore[union-attr]
    assert ATTACK in root.attrib["aria-label"]


def test_a_playhead_only_where_it_is_asked_for() -> None:
    assert 'class="playhead"' in lane([], 1.0, playhead=True)
    assert 'class="playhead"' not in lane([], 1.0)


@pytest.mark.parametrize("end_s", [0.0, 0.3, 2.04, 900.0, 86_400.0])
def test_the_clock_has_ticks_within_the_lane(end_s: float) -> None:
    ticks = list(ElementTree.fromstring(clock(end_s)).iter("text"))
    assert ticks
    assert all(0 <= float(tick.attrib["x"].removesuffix("%")) <= 100 for tick in ticks)
    assert all(tick.text and tick.text.endswith(" s") for tick in ticks)
    assert ticks[0].attrib["text-anchor"] == "start"
