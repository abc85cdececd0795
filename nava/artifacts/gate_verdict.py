"""Gate verdict: each rule, what was observed and what expected, and the offending records. JSON plus a page."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nava.pages.verdict_page import render_verdict
from nava.runtime.handle import Handle
from nava.runtime.storage import atomic_folder, read_json, write_bytes, write_json, write_text

SCHEMA_VERSION = 1
VERDICT_FILE = "verdict.json"
PAGE_FILE = "verdict.html"


@dataclass(frozen=True)
class RuleResult:
    """One rule of a gate.

    Attributes:
        rule: what must hold, as a sentence or a rule id.
        passed: True, False, or None when the rule did not apply (then `note` says why).
        observed: the value seen. expected: the value or bound wanted.
        offending: ids of the records that break the rule.
    """

    rule: str
    passed: bool | None
    observed: Any = None
    expected: Any = None
    offending: list[str] = field(default_factory=list)
    note: str = ""


@dataclass(frozen=True)
class GateVerdict:
    """The verdict of a gate over all its rules."""

    gate: str
    passed: bool
    rules: list[RuleResult]
    schema_version: int = SCHEMA_VERSION

    @property
    def failed_rules(self) -> list[RuleResult]:
        """The rules that failed, in order."""
        return [rule for rule in self.rules if rule.passed is False]

    def message(self, records: int = 3) -> str:
        """One sentence: the first failed rule, what was seen, and the first offending records."""
        if not self.failed_rules:
            return f"gate '{self.gate}' passed"
        rule = self.failed_rules[0]
        text = f"gate '{self.gate}' said no: {rule.rule}: observed {rule.observed}, expected {rule.expected}"
        if rule.offending:
            more = len(rule.offending) - records
            text += "; records " + ", ".join(rule.offending[:records]) + (f" and {more} more" if more > 0 else "")
        others = len(self.failed_rules) - 1
        return text + (f" ({others} more rules failed)" if others else "")


def write_verdict(
    folder: Path, verdict: GateVerdict, title: str = "", evidence: Mapping[str, bytes] | None = None
) -> Handle:
    """Write verdict.json and verdict.html under `folder`; the handle's hash is that of the JSON's folder.

    Args:
        folder: is replaced.
        verdict: what the gate found.
        title: heading of the page.
        evidence: further files, relative path to content, that go with the verdict and into its hash.
    """
    value = asdict(verdict)
    with atomic_folder(folder) as part:
        write_json(part / VERDICT_FILE, value)
        write_text(part / PAGE_FILE, render_verdict(verdict.gate, verdict.passed, value["rules"], title))
        for name, content in (evidence or {}).items():
            write_bytes(part / name, content)
    return Handle.of_path("gate_verdict", folder, gate=verdict.gate, passed=verdict.passed)


def read_verdict(handle: Handle) -> GateVerdict:
    """Read a verdict back."""
    value = read_json(handle.require("gate_verdict").path / VERDICT_FILE)
    rules = [RuleResult(**rule) for rule in value.pop("rules")]
    return GateVerdict(rules=rules, **value)
