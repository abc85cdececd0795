"""Checks of setting values: what is refused is named with its value and with what it may be."""

from collections.abc import Iterable

from nava.runtime.errors import InputError


def require(condition: bool, name: str, value: object, allowed: str) -> None:
    """Refuse a value: InputError `<name> is <value>; it must be <allowed>`."""
    if not condition:
        raise InputError(f"{name} is {value!r}; it must be {allowed}")


def require_one_of(section: object, prefix: str, name: str, choices: tuple[str, ...]) -> None:
    """A setting that has one of a few values."""
    value = getattr(section, name)
    require(value in choices, f"{prefix}.{name}", value, " or ".join(choices))


def require_at_least(section: object, prefix: str, names: Iterable[str], least: int) -> None:
    """Settings that count something."""
    for name in names:
        value = getattr(section, name)
        require(value >= least, f"{prefix}.{name}", value, f"at least {least}")


def require_positive(section: object, prefix: str, names: Iterable[str]) -> None:
    """Settings that measure something: durations, sizes."""
    for name in names:
        value = getattr(section, name)
        require(value > 0, f"{prefix}.{name}", value, "above 0")


def require_shares(section: object, prefix: str, names: Iterable[str]) -> None:
    """Settings that are a part of a whole."""
    for name in names:
        value = getattr(section, name)
        require(0 <= value <= 1, f"{prefix}.{name}", value, "between 0 and 1")
