"""The doctor's findings as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from nava.evaluation.doctor.closed_forms import ClosedForm
from nava.evaluation.doctor.diagnose import Finding
from nava.runtime.storage import write_json

SCHEMA_VERSION = 1


def write_findings(path: Path, cases: Sequence[ClosedForm], findings: Sequence[Finding]) -> None:
    """Write what came of cases with known answers and of spoilt clips."""
    write_json(
        path,
        {
            "schema_version": SCHEMA_VERSION,
            "closed_forms": [{**asdict(case), "held": case.held} for case in cases],
            "findings": [asdict(finding) for finding in findings],
        },
    )
