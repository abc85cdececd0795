"""Ranges of bytes as RFC 9110 has them."""

import pytest

from nava.console.byte_range import RangeNotSatisfiableError, byte_range


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=2-5", (2, 6)),
        ("bytes=2-", (2, 10)),
        ("bytes=9-", (9, 10)),
        ("bytes=0-99", (0, 10)),
        ("bytes=-3", (7, 10)),
        ("bytes=-99", (0, 10)),
        (" bytes=2-5 ", (2, 6)),
    ],
)
def test_a_range_of_ten_bytes(header: str, found: tuple[int, int]) -> None:
    assert byte_range(header, 10) == found


@pytest.mark.parametrize(
    "header",
    ["", "bytes=-", "bytes=5-2", "bytes=0-1,4-5", "items=0-1", "bytes=a-b", "bytes=1", "bytes=+1-2", "bytes=٣-٤", "x"],
)
def test_what_is_no_single_range_asks_for_the_whole(header: str) -> None:
    assert byte_range(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=99-100", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_a_range_behind_the_end_cannot_be_satisfied(header: str, size: int) -> None:
    with pytest.raises(RangeNotSatisfiableError):
        byte_range(header, size)
