"""Spreads: quartiles of known values, a mark for each value, counts that add up."""

import re

import pytest

from nava.pages.charts import whisker_bar
from nava.pages.distributions import DOTS, quartiles, spread, spread_scale


def test_quartiles_of_known_values() -> None:
    assert quartiles([4.0, 1.0, 2.0, 3.0]) == (1.75, 2.5, 3.25)
    assert quartiles([7.0]) == (7.0, 7.0, 7.0)


def test_each_value_has_a_dot_at_its_place_with_its_name() -> None:
    values = [("a", 0.0), ("<b>", 5.0), ("c", 10.0)]
    svg = spread(values, 2, spread_scale([0.0, 10.0]), "video", "m, r")
    places = [float(place) for place in re.findall(r'<circle class="value[^>]*cx="([\d.]+)%"', svg)]
    assert places == [0.0, 50.0, 100.0]
    assert "&lt;b&gt;: 5" in svg
    assert "m, r: 3 values, 2 missing; median 5" in svg


def test_many_values_are_counted_and_none_is_lost() -> None:
    values = [(str(number), float(number)) for number in range(DOTS + 20)]
    svg = spread(values, 0, spread_scale([value for _, value in values]), "video", "m")
    assert "<circle" not in svg
    assert sum(int(count) for count in re.findall(r"<title>[^<]* to [^<:]*: (\d+)</title>", svg)) == DOTS + 20


def test_nothing_is_drawn_of_nothing() -> None:
    assert spread([], 4, spread_scale([]), "video", "m") == ""


@pytest.mark.parametrize(("value", "left", "width"), [(5.0, 50.0, 25.0), (-10.0, 0.0, 50.0)])
def test_a_bar_begins_at_zero(value: float, left: float, width: float) -> None:
    svg = whisker_bar(value, value - 1, value + 1, spread_scale([-10.0, 10.0]), "video", "m")
    found = re.search(r'<rect class="bar-end[^>]*x="([\d.]+)%"[^>]*width="([\d.]+)%"', svg)
    assert found is not None
    assert (float(found[1]), float(found[2])) == (left, width)
    assert svg.count('class="error"') == 1
    assert 'class="error"' not in whisker_bar(value, None, None, spread_scale([-10.0, 10.0]), "video", "m")
