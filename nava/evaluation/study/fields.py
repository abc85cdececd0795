"""Fields of JSON objects that came from outside, read strictly: what is wrong is named with its place."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from nava.runtime.errors import InputError

_SHOWN = 60  # characters of a wrong value that a message repeats


class Fields:
    """A JSON object and where it stands; each reader gives the value of a field or raises InputError."""

    def __init__(self, value: Any, where: str) -> None:
        """`where` names the place, such as `votes.jsonl, line 3`. InputError if the value is no object."""
        if not isinstance(value, dict):
            raise InputError(f"{where}: {type(value).__name__} where a JSON object is wanted")
        self._values: dict[str, Any] = value
        self.where = where

    def only(self, names: Iterable[str]) -> None:
        """Refuse fields other than these."""
        unknown = sorted(set(self._values) - set(names))
        if unknown:
            raise InputError(f"{self.where}: unknown field '{unknown[0]}'; known are {', '.join(names)}")

    def get(self, name: str) -> Any:
        """A field that must be there."""
        if name not in self._values:
            raise InputError(f"{self.where}: field '{name}' is missing")
        return self._values[name]

    def text(self, name: str, allowed: Sequence[str] = ()) -> str:
        """A text that is not empty, and one of `allowed` if any are given."""
        value = self.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self.wrong(name, "must be a text that is not empty")
        if allowed and value not in allowed:
            raise self.wrong(name, f"must be {' or '.join(allowed)}")
        return value

    def text_or_none(self, name: str, allowed: Sequence[str] = ()) -> str | None:
        """A text, or null."""
        return None if self.get(name) is None else self.text(name, allowed)

    def optional_text(self, name: str) -> str | None:
        """A text, or None where the field is null or not there."""
        return self.text(name) if self._values.get(name) is not None else None

    def whole(self, name: str) -> int:
        """A whole number from 0."""
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise self.wrong(name, "must be a whole number from 0")
        return value

    def amount_or_none(self, name: str) -> float | None:
        """A finite number from 0, or null."""
        value = self.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
            raise self.wrong(name, "must be a finite number from 0, or null")
        return float(value)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.get(name)
        if not isinstance(value, bool):
            raise self.wrong(name, "must be true or false")
        return value

    def flag_or_none(self, name: str) -> bool | None:
        """True, false or null."""
        return None if self.get(name) is None else self.flag(name)

    def rows(self, name: str) -> list[Any]:
        """A list."""
        value = self.get(name)
        if not isinstance(value, list):
            raise self.wrong(name, "must be a list")
        return value

    def names(self, name: str) -> tuple[str, ...]:
        """A list of different texts, not empty."""
        values = self.rows(name)
        if not values or any(not isinstance(value, str) or not value.strip() for value in values):
            raise self.wrong(name, "must be a list of texts, at least one and none empty")
        if len(set(values)) < len(values):
            raise self.wrong(name, "names something twice")
        return tuple(values)

    def wrong(self, name: str, why: str) -> InputError:
        """The error that refuses a field's value."""
        shown = json.dumps(self._values.get(name), ensure_ascii=False)
        shown = shown if len(shown) <= _SHOWN else shown[:_SHOWN] + "…"
        return InputError(f"{self.where}: field '{name}' is {shown}; it {why}")


def json_object(text: str | bytes, where: str) -> Fields:
    """A text that must be one JSON object. InputError names the place if it is not."""
    try:
        value = json.loads(text.decode("utf-8") if isinstance(text, bytes) else text)
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 ({error.reason})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: not JSON: {error}") from error
    return Fields(value, where)
