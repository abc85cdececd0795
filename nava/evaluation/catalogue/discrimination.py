"""What each embedded backend was seen to tell apart on the built-in benchmark; `nava eval doctor` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from nava.evaluation.catalogue.perturbations import PERTURBATIONS
from nava.runtime.errors import InputError
from nava.runtime.storage import read_json, write_json

FILE = Path(__file__).parent / "discrimination.json"
SCHEMA_VERSION = 1
# Where the lower end of the interval lies: surely told apart, seen to be told apart, and not.
SURELY, BARELY = 0.7, 0.5


@dataclass(frozen=True)
class Discrimination:
    """How surely a spoilt clip is told from a whole one.

    Attributes:
        column: metric and backend.
        perturbation: how the clips were spoilt.
        auroc: chance that of two clips the whole one has the better value; 0.5 says nothing.
        ci_low, ci_high: its 95 % interval.
        n: clips.
        expected: `worse` where the metric must notice, `same` where it must not, `graded` over several strengths.
    """

    column: str
    perturbation: str
    auroc: float
    ci_low: float
    ci_high: float
    n: int
    expected: str

    @property
    def sentence(self) -> str:
        """One line for people."""
        spoilt = PERTURBATIONS.get(self.perturbation, self.perturbation)
        figures = f"AUROC {self.auroc:.2f} [{self.ci_low:.2f}, {self.ci_high:.2f}], {self.n} clips"
        return f"{self.verdict} {self.perturbation} ({spoilt}): {figures}"

    @property
    def verdict(self) -> str:
        """What the interval allows to say."""
        if self.ci_low > SURELY:
            return "tells"
        if self.ci_low > BARELY:
            return "mostly tells"
        return "is not shown to tell" if self.expected != "same" else "does not tell"


@lru_cache(maxsize=1)
def discrimination() -> Mapping[str, tuple[Discrimination, ...]]:
    """What was measured, by column; empty for a column that the doctor never saw. InputError for a damaged file."""
    value = read_json(FILE)
    if value.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{FILE}: schema_version must be {SCHEMA_VERSION}; write it with `nava eval doctor --record`")
    found: dict[str, list[Discrimination]] = {}
    for entry in value["columns"]:
        found.setdefault(entry["column"], []).append(Discrimination(**entry))
    return {column: tuple(entries) for column, entries in found.items()}


def record(findings: Iterable[Any], path: Path = FILE) -> None:
    """Write the findings that have an area under the curve, in an order of their own."""
    names = [item.name for item in fields(Discrimination)]
    entries = [
        Discrimination(**{name: getattr(finding, name) for name in names})
        for finding in findings
        if finding.auroc is not None
    ]
    entries.sort(key=lambda entry: (entry.column, entry.perturbation))
    rounded = [{**asdict(entry), **_rounded(entry)} for entry in entries]
    write_json(path, {"schema_version": SCHEMA_VERSION, "benchmark": "builtin.seed0.v1", "columns": rounded})


def _rounded(entry: Discrimination) -> dict[str, float]:
    return {name: round(getattr(entry, name), 4) for name in ("auroc", "ci_low", "ci_high")}
