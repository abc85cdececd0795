"""Values are written so that a reader can take them in: short, aligned, never `nan`."""

import math
from typing import Any

import pytest

from nava.pages.formats import (
    format_bytes,
    format_fixed,
    format_number,
    format_seconds,
    format_share,
    format_value,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
        (0, "0"),
        (1234567, "1,234,567"),
        (-12, "−12"),
        (0.5512, "0.551"),
        (12.345, "12.3"),
        (1234.5, "1,234"),
        (-0.0123, "−0.0123"),
        (1e-9, "1e−09"),
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(0.5, 2, "0.50"), (-0.001, 2, "0.00"), (-1.005, 1, "−1.0"), (None, 2, "–"), (1234.5, 1, "1,234.5")],
)
def test_fixed_decimals_line_up_and_zero_has_no_sign(value: float | None, decimals: int, text: str) -> None:
    assert format_fixed(value, decimals) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (-1, "–"),
        (0.0852, "85 ms"),
        (0.9999, "1.0 s"),
        (4.24, "4.2 s"),
        (9.96, "10 s"),
        (59.7, "1 min 00 s"),
        (187, "3 min 07 s"),
        (3725, "1 h 02 min"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert format_seconds(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "–"),
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (5 * 1024**2, "5.0 MiB"),
        (5 * 1024**4, "5120.0 GiB"),
    ],
)
def test_sizes(size: float | None, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("part", "whole", "text"), [(0, 10, "0 %"), (1, 1000, "<1 %"), (37, 100, "37 %"), (1, 0, "–"), (10, 10, "100 %")]
)
def test_shares(part: float, whole: float, text: str) -> None:
    assert format_share(part, whole) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (True, "yes"),
        (False, "no"),
        (0.51, "0.51"),
        (0.512345, "0.5123"),
        (24, "24"),
        ("> 0.1", "> 0.1"),
        ([-0.273456, 1], "[-0.2735, 1]"),
        ({"b": 0.123456, "a": [1]}, '{"a": [1], "b": 0.1235}'),
        ([math.nan], '["nan"]'),
    ],
)
def test_values_of_rules(value: Any, text: str) -> None:
    assert format_value(value) == text
