"""The header `Range` of HTTP (RFC 9110, section 14): players ask for parts of a file to seek in it."""

from __future__ import annotations

import re

_SPEC = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class RangeNotSatisfiableError(ValueError):
    """The range begins behind the end of the file."""


def byte_range(header: str, size: int) -> tuple[int, int] | None:
    """The half-open range of bytes that a header asks for.

    Args:
        header: `bytes=2-5`, `bytes=2-` or `bytes=-3`. Several ranges, other units and what is malformed are no range:
            the RFC lets a server send the whole.
        size: of the file, in bytes.

    Returns:
        First byte and the one after the last, or None for the whole file.

    Raises:
        RangeNotSatisfiableError: nothing of the file lies in the range.
    """
    match = _SPEC.fullmatch(header.strip())
    if match is None or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < start:
            return None
    if start >= end:
        raise RangeNotSatisfiableError(header)
    return start, end
