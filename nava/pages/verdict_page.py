"""The page of one gate verdict: which rules held, which did not, and the records that broke them."""

from collections.abc import Iterable, Mapping
from typing import Any

from nava.pages.shell import render

_OPTIONAL = {"observed": None, "expected": None, "offending": (), "note": ""}
_FAILED_FIRST = {False: 0, True: 1, None: 2}


def complete_rules(rules: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rules with the keys that may be left out, those that failed first."""
    return [_OPTIONAL | dict(rule) for rule in sorted(rules, key=lambda rule: _FAILED_FIRST[rule["passed"]])]


def render_verdict(gate: str, passed: bool, rules: list[dict[str, Any]], title: str = "") -> str:
    """Render a gate verdict as one self-contained HTML page.

    Args:
        gate: name of the gate.
        passed: the verdict; what follows the gate is blocked when it is False.
        rules: one mapping per rule with `rule` (text), `passed` (True, False, or None when it did not apply), and
            optionally `observed`, `expected`, `offending` (list of record ids) and `note`.
        title: heading of the page; the gate's name when empty.

    Returns:
        HTML text. All values are escaped.
    """
    counts = {
        "passed": sum(rule["passed"] is True for rule in rules),
        "failed": sum(rule["passed"] is False for rule in rules),
        "not_applicable": sum(rule["passed"] is None for rule in rules),
    }
    return render(
        "verdict.html.j2",
        title=title or f"Gate {gate}",
        gate=gate,
        passed=passed,
        rules=complete_rules(rules),
        counts=counts,
    )
