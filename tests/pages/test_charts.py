"""Charts draw what they were given, where it belongs, and stay well-formed whatever it was."""

import json
import math
from html import unescape
from xml.etree import ElementTree

import pytest

from nava.pages import charts
from nava.pages.charts import Series

ATTACK = "</svg><script>alert('1')</script>\"&"


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def attributes(svg: str, css_class: str, attribute: str) -> list[str]:
    return [element.attrib[attribute] for element in parse(svg).iter() if css_class in element.get("class", "").split()]


def test_nice_scale_ends_on_round_ticks_around_the_values() -> None:
    scale = charts.nice_scale(0.63, 1.48)
    assert scale.low <= 0.63
    assert scale.high >= 1.48
    steps = {round(b - a, 9) for a, b in zip(scale.ticks, scale.ticks[1:], strict=False)}
    assert len(steps) == 1
    assert scale.ticks[0] == scale.low
    assert scale.ticks[-1] == scale.high


@pytest.mark.parametrize(
    ("low", "high"),
    [
        (0.0, 0.0),
        (5.0, 5.0),
        (-3.0, -3.0),
        (1e-9, 2e-9),
        (-1e6, 1e6),
        (0, 399),
        (1e25, 1e25),
        (0.0, 4e-12),
        (3.0, 1e300),
    ],
)
def test_nice_scale_of_any_range_has_ticks_inside_and_contains_the_range(low: float, high: float) -> None:
    for pad in (True, False):
        scale = charts.nice_scale(low, high, pad=pad)
        assert scale.low <= low
        assert high <= scale.high
        assert scale.low < scale.high
        assert all(scale.low <= tick <= scale.high for tick in scale.ticks)
        assert 1 <= len(scale.ticks) <= 12


@pytest.mark.parametrize("value", [1e25, 2e-12, 1e300, 3.0])
def test_a_diverged_run_can_be_drawn(value: float) -> None:
    svg = charts.line_chart([line("loss", [(0, value), (1, value), (2, 0.0)])], title="Loss", x_label="steps")
    ticks = [element.text for element in parse(svg).iter() if element.get("x") == "-10"]
    assert len(ticks) == len(set(ticks)) > 2
    assert max(len(text or "") for text in ticks) < 10


def test_scale_percent_is_linear() -> None:
    scale = charts.Scale(-1.0, 3.0, ())
    assert [scale.percent(value) for value in (-1, 1, 3)] == [0.0, 50.0, 100.0]


def test_smooth_keeps_a_constant_and_starts_at_the_first_value() -> None:
    constant = charts.smooth([(0, 2.0), (1, 2.0), (2, 2.0)], window=3)
    assert [value for _, value in constant] == pytest.approx([2.0, 2.0, 2.0])
    assert charts.smooth([(0, 5.0), (1, 1.0)], window=4)[0] == pytest.approx((0, 5.0))


def test_smooth_lowers_the_spread_and_drops_values_that_are_not_finite() -> None:
    noisy = [(float(step), float(step % 2)) for step in range(100)] + [(100.0, math.nan), (101.0, math.inf)]
    result = charts.smooth(noisy, window=10)
    assert len(result) == 100
    tail = [value for _, value in result[50:]]
    assert max(tail) - min(tail) < 0.2


def test_thin_keeps_the_mean_and_the_last_point() -> None:
    points = [(float(step), float(step)) for step in range(10_000)]
    thinned = charts.thin(points, limit=100)
    assert len(thinned) <= 100
    assert thinned[-1] == points[-1]
    assert thinned[0][1] == pytest.approx(thinned[0][0])
    assert charts.thin(points[:50], limit=100) == points[:50]


def line(label: str, points: list[tuple[float, float]], style: str = "line") -> Series:
    return Series(label, points, "video", style)  # type: ignore[arg-type]


def test_line_chart_places_the_ends_of_the_scale() -> None:
    svg = charts.line_chart([line("loss", [(0, 0.0), (10, 1.0)])], title="Losses", x_label="step")
    (path,) = attributes(svg, "curve", "d")
    assert path == "M0.0 1000.0L1000.0 0.0"


def test_line_chart_marks_validation_points_and_says_first_and_last() -> None:
    svg = charts.line_chart([line("check", [(0, 2.0), (5, 1.5), (10, 1.0)], "markers")], title="Losses", x_label="step")
    assert len(attributes(svg, "marker", "cx")) == 3
    assert attributes(svg, "marker", "cx")[0] == "0.00%"
    assert attributes(svg, "marker", "cx")[-1] == "100.00%"
    assert parse(svg).attrib["aria-label"] == "Losses. check from 2 to 1."


def test_a_spike_in_the_faint_line_does_not_flatten_the_others() -> None:
    calm = line("smoothed", [(0, 1.0), (10, 0.5)])
    spike = line("raw", [(0, 1.0), (5, 500.0), (10, 0.5)], "faint")
    svg = charts.line_chart([spike, calm], title="t", x_label="step")
    assert float(parse(svg).attrib["data-top"]) <= 1.5


def test_read_out_carries_the_values_and_no_faint_line() -> None:
    svg = charts.line_chart(
        [line("a", [(0, 1.0), (1, 0.5)]), line("raw", [(0, 1.0)], "faint")], title="t", x_label="step"
    )
    assert json.loads(parse(svg).attrib["data-series"]) == [
        {"label": "a", "tone": "video", "points": [[0, 1.0], [1, 0.5]]}
    ]


@pytest.mark.parametrize("points", [[], [(0.0, math.nan)], [(math.inf, 1.0)]])
def test_line_chart_without_finite_points_is_nothing(points: list[tuple[float, float]]) -> None:
    assert charts.line_chart([line("a", points)], title="t", x_label="x") == ""


@pytest.mark.parametrize("points", [[(3.0, 1.0)], [(0.0, 1.0), (0.0, 1.0)], [(0.0, 1e-12), (1.0, 1e12)]])
def test_line_chart_of_odd_data_is_well_formed(points: list[tuple[float, float]]) -> None:
    svg = charts.line_chart([line("a", points, "markers")], title="t", x_label="x")
    parse(svg)
    assert "nan" not in svg
    assert "inf" not in svg.replace("info", "")


def test_text_in_charts_is_escaped() -> None:
    drawings = [
        charts.line_chart([line(ATTACK, [(0, 1.0), (1, 2.0)])], title=ATTACK, x_label=ATTACK),
        charts.stacked_bar([(ATTACK, 3, "good"), ("b", 1, "bad")]),
    ]
    for svg in drawings:
        assert "<script" not in svg
        assert ATTACK in unescape(svg)
        parse(svg)


def test_interval_scale_takes_in_zero_when_it_is_near_but_not_when_it_is_far() -> None:
    assert charts.interval_scale([0.1, 0.6]).low == 0.0
    assert charts.interval_scale([-0.6, -0.1]).high == 0.0
    assert charts.interval_scale([0.81, 0.85]).low > 0.5
    assert charts.interval_scale([0.5, 0.6], include=[0.1]).low <= 0.1
    assert charts.interval_scale([math.nan]).low < charts.interval_scale([math.nan]).high


def test_interval_bar_draws_value_ends_bounds_and_zero() -> None:
    scale = charts.Scale(-1.0, 1.0, (-1.0, 0.0, 1.0))
    svg = charts.interval_bar(0.5, 0.0, 1.0, scale, "model", bounds=[0.1])
    assert attributes(svg, "dot", "cx") == ["75.00%"]
    assert attributes(svg, "whisker", "x1") == ["50.00%"]
    assert attributes(svg, "whisker", "x2") == ["100.00%"]
    assert attributes(svg, "bound", "x1") == ["55.00%"]
    assert attributes(svg, "axis", "x1") == ["50.00%"]
    assert parse(svg).attrib["aria-label"] == "0.50, 95 % interval 0.00 to 1.00"


def test_interval_axis_labels_every_tick() -> None:
    scale = charts.Scale(0.0, 0.5, (0.0, 0.25, 0.5))
    assert [element.text for element in parse(charts.interval_axis(scale))] == ["0.00", "0.25", "0.50"]


@pytest.mark.parametrize(("part", "whole", "width"), [(1, 4, "25.00%"), (5, 4, "100.00%"), (1, 0, "0.00%")])
def test_bar_width(part: float, whole: float, width: str) -> None:
    assert attributes(charts.bar(part, whole, "good"), "tone-good", "width") == [width]


def test_stacked_bar_fills_its_width_and_leaves_out_zero() -> None:
    svg = charts.stacked_bar([("kept", 3, "good"), ("dropped", 1, "warn"), ("failed", 0, "bad")])
    widths = [float(element.attrib["width"].rstrip("%")) for element in parse(svg)]
    assert widths == [75.0, 25.0]
    assert parse(svg).attrib["aria-label"] == "kept 3, dropped 1, failed 0"
    assert charts.stacked_bar([("kept", 0, "good")]) == ""


def test_traces_draw_sound_as_an_area_and_picture_as_a_line() -> None:
    svg = charts.traces([0.0, 1.0], [1.0, 0.0])
    assert attributes(svg, "area", "d") == ["M0.0 0.0L1000.0 1000.0L1000 1000L0 1000Z"]
    assert attributes(svg, "curve", "d") == ["M0.0 1000.0L1000.0 0.0"]
    assert attributes(charts.traces([0.0, 1.0], []), "area", "d") == []
    assert charts.traces([], []) == ""


def test_no_chart_has_a_style_attribute_because_the_policy_would_refuse_it() -> None:
    drawings = [
        charts.line_chart([line("a", [(0, 1.0), (1, 2.0)], "markers")], title="t", x_label="x"),
        charts.interval_bar(0.5, 0.0, 1.0, charts.interval_scale([0, 1]), "model"),
        charts.stacked_bar([("a", 1, "good")]),
        charts.bar(1, 2, "warn"),
        charts.traces([0, 1], [0, 1]),
    ]
    assert not any("style" in element.attrib for svg in drawings for element in parse(svg).iter())


def test_a_histogram_stacks_its_layers_to_the_counts() -> None:
    svg = charts.histogram(
        [0.0, 1.0, 2.0],
        [("kept", [3, 1], "good"), ("not kept", [1, 0], "warn")],
        title="Records",
        x_label="x",
        bounds=[0.5, 9.0],
    )
    bins = [element.attrib for element in parse(svg).iter() if "bin" in element.get("class", "").split()]
    assert [one["class"] for one in bins] == ["bin tone-good", "bin tone-good", "bin tone-warn"]
    heights = [float(one["height"].removesuffix("%")) for one in bins]
    assert heights[0] == pytest.approx(3 * heights[1])
    tops = [float(one["y"].removesuffix("%")) for one in bins]
    assert tops[2] + heights[2] == pytest.approx(tops[0])
    assert tops[0] + heights[0] == pytest.approx(100, abs=0.02)
    assert attributes(svg, "bound", "x1") == ["25.00%"]
    assert parse(svg).attrib["aria-label"] == "Records. kept 4; not kept 1."


def test_a_histogram_of_nothing_is_nothing_and_text_stays_text() -> None:
    assert charts.histogram([0.0, 1.0], [("kept", [0], "good")], title="t", x_label="x") == ""
    svg = charts.histogram([0.0, 1.0], [(ATTACK, [1], "good")], title=ATTACK, x_label=ATTACK)
    assert "script" not in {element.tag for element in parse(svg).iter()}


@pytest.mark.parametrize(("value", "at"), [(5.0, "50.00%"), (-9.0, "1.00%"), (99.0, "99.00%")])
def test_a_score_lies_on_its_bar_and_beyond_it_at_the_end(value: float, at: str) -> None:
    svg = charts.score_bar(value, 0.0, 10.0, (2.0, 8.0), [4.0])
    assert attributes(svg, "dot", "cx") == [at]
    assert attributes(svg, "usual", "x") == ["20.00%"]
    assert attributes(svg, "usual", "width") == ["60.00%"]
    assert attributes(svg, "bound", "x1") == ["40.00%"]
