"""How values are written for a reader: durations, counts, sizes, shares, anything a gate may have observed."""

import json
import math
from collections.abc import Mapping
from typing import Any

DASH = "–"
_BYTES_PER_UNIT = 1024


def format_number(value: float | None, digits: int = 3) -> str:
    """A number to `digits` significant digits, thousands separated; a dash when it is missing or not finite."""
    if value is None or not math.isfinite(value):
        return DASH
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "−")
    if abs(value) >= 1000:
        return f"{value:,.0f}".replace("-", "−")
    text = f"{value:.{digits}g}"
    if "e" not in text and abs(value) >= 10 ** -(digits + 1):
        decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
        text = f"{value:.{decimals}f}"
    return text.replace("-", "−")


def format_fixed(value: float | None, decimals: int = 2) -> str:
    """A number with a fixed count of decimals, so that columns line up; a dash when it is missing or not finite."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:,.{decimals}f}"
    if float(text.replace(",", "")) == 0:
        text = text.removeprefix("-")
    return text.replace("-", "−")


def format_seconds(seconds: float | None) -> str:
    """A duration: `85 ms`, `4.2 s`, `3 min 07 s`, `1 h 02 min`; a dash when unknown."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return DASH
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def format_bytes(size_bytes: float | None) -> str:
    """A size in binary units: `512 B`, `1.4 MiB`; a dash when unknown."""
    if size_bytes is None:
        return DASH
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < _BYTES_PER_UNIT or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= _BYTES_PER_UNIT
    raise AssertionError("unreachable")


def format_share(part: float, whole: float) -> str:
    """A share in per cent: `0 %`, `<1 %`, `37 %`; a dash when the whole is zero."""
    if whole <= 0:
        return DASH
    share = 100 * part / whole
    if 0 < share < 1:
        return "<1 %"
    return f"{share:.0f} %"


def format_value(value: Any) -> str:
    """Any value a rule may observe or expect: numbers shortened, lists and mappings as JSON, `None` as a dash."""
    if value is None:
        return DASH
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        text = format_number(value, digits=4)
        return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text
    if isinstance(value, str):
        return value
    return json.dumps(_shortened(value), ensure_ascii=False, default=str, sort_keys=True)


def _shortened(value: Any) -> Any:
    """The value with its fractions cut to four significant digits."""
    if isinstance(value, float):
        return float(f"{value:.4g}") if math.isfinite(value) else str(value)
    if isinstance(value, Mapping):
        return {str(key): _shortened(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_shortened(item) for item in value]
    return value
