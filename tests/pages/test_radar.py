"""The radar: points where their shares say, no area of fewer than three axes, names escaped."""

import math
import re

import pytest

from nava.pages.radar import RadarShape, radar


def points(svg: str, kind: str) -> list[list[tuple[float, float]]]:
    found = re.findall(rf'<polygon class="{kind}[^"]*" points="([^"]+)"', svg)
    return [[tuple(map(float, pair.split(","))) for pair in one.split()] for one in found]  # type: ignore[misc]


def test_a_share_is_a_share_of_the_way_to_the_rim() -> None:
    svg = radar(["a", "b", "c", "d"], [RadarShape("one", [0.0, 0.5, 1.0, 0.25], [1, 2, 3, 4], "video")], "T")
    rim = points(svg, "radar-ring")[-1]
    (shape,) = points(svg, "radar-shape")
    centre = (sum(x for x, _ in rim) / 4, sum(y for _, y in rim) / 4)
    reach = [math.dist(centre, point) / math.dist(centre, rim[0]) for point in shape]
    assert reach == pytest.approx([0.0, 0.5, 1.0, 0.25], abs=0.01)
    assert rim[0][1] < centre[1], "the first axis points up"
    assert rim[1][0] > centre[0], "and the second to the right: clockwise"


def test_two_axes_are_no_area() -> None:
    assert radar(["a", "b"], [RadarShape("one", [0.1, 0.2], [1, 2], "video")], "T") == ""


def test_names_are_escaped_and_values_can_be_heard() -> None:
    svg = radar(["<a>", "b", "c"], [RadarShape('x"<', [0.1, 0.2, 0.3], [1.5, 2, 3], "video")], "T")
    assert "<a>" not in svg
    assert 'x"<' not in svg
    assert "&lt;a&gt; 1.5" in svg
    assert svg.count('<circle class="radar-dot') == 3
