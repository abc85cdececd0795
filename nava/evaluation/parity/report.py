"""The results of a golden set for people and for machines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from nava.evaluation.parity.comparison import CaseResult, Verdict

_COLUMNS = f"{'case':36} {'kind':13} {'error':>9} {'tolerance':>9}  verdict"


def heading() -> str:
    """The names of the columns."""
    return _COLUMNS


def row(result: CaseResult) -> str:
    """One line: case, kind, error of the worst tensor, its tolerance, verdict, and the reason if it is not good."""
    worst = result.worst
    error = f"{worst.error:9.2e}" if worst else f"{'-':>9}"
    tolerance = f"{worst.tolerance:9.0e}" if worst else f"{'-':>9}"
    reason = f": {result.reason}" if result.reason else ""
    return f"{result.case:36} {result.kind or '-':13} {error} {tolerance}  {result.verdict.value}{reason}"


def all_passed(results: Sequence[CaseResult]) -> bool:
    """Whether there are results and every one is good."""
    return bool(results) and all(result.verdict is Verdict.PASSED for result in results)


def summary(results: Sequence[CaseResult]) -> str:
    """The last line: whether all is well, how many of each verdict, and how many tensors were compared."""
    counts = Counter(result.verdict for result in results)
    parts = [f"{counts[verdict]} {verdict.value}" for verdict in Verdict if counts[verdict]]
    tensors = sum(len(result.tensors) for result in results)
    return f"{'parity' if all_passed(results) else 'NO PARITY'}: {', '.join(parts)}; {tensors} tensors compared"


def as_json(folder: str, results: Sequence[CaseResult]) -> dict[str, Any]:
    """The machine form of everything the table says, with every tensor."""
    counts = Counter(result.verdict.value for result in results)
    return {
        "folder": folder,
        "passed": all_passed(results),
        "counts": {verdict.value: counts[verdict.value] for verdict in Verdict},
        "cases": [result.to_dict() for result in results],
    }
