"""How far two tensors are apart, and what that says about a case."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import torch
from torch import Tensor

# Errors allowed, relative to the largest value of the tensor.
PASS_TOLERANCE = 1e-5
RUN_TOLERANCE = 1e-4
BF16_TOLERANCE = 3e-2
EXACT = 0.0


class Verdict(Enum):
    """What became of a case. Only PASSED is good."""

    PASSED = "passed"
    FAILED = "failed"
    MISSING = "missing"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class Pair:
    """One tensor of a golden file and what this code computes for it."""

    name: str
    actual: Tensor
    expected: Tensor
    tolerance: float = PASS_TOLERANCE


@dataclass(frozen=True)
class TensorError:
    """max |a - b| / max |b| of one tensor, and the error it may have."""

    name: str
    error: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Whether the error is allowed; a NaN never is."""
        return self.error <= self.tolerance

    @property
    def share(self) -> float:
        """The error as a share of what is allowed, to find the worst tensor of a case."""
        if math.isnan(self.error):
            return math.inf
        return self.error / self.tolerance if self.tolerance else (math.inf if self.error else 0.0)


@dataclass(frozen=True)
class CaseResult:
    """The verdict on one case, with its tensors' errors and the reason if it is not good."""

    case: str
    kind: str
    verdict: Verdict
    tensors: Sequence[TensorError] = field(default_factory=tuple)
    reason: str = ""

    @property
    def worst(self) -> TensorError | None:
        """The tensor nearest to its tolerance, or farthest beyond it."""
        return max(self.tensors, key=lambda tensor: tensor.share, default=None)

    def to_dict(self) -> dict[str, Any]:
        """The machine form; an error that is not finite is given as text, since JSON knows no such number."""
        worst = self.worst
        return {
            "case": self.case,
            "kind": self.kind,
            "verdict": self.verdict.value,
            "error": _number(worst.error) if worst else None,
            "tolerance": worst.tolerance if worst else None,
            "reason": self.reason,
            "tensors": [
                {"name": t.name, "error": _number(t.error), "tolerance": t.tolerance, "within": t.within}
                for t in self.tensors
            ],
        }


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """max |a - b| / max |b|; of tensors that are zero where they should be, 0; of different shapes, infinite."""
    if actual.shape != expected.shape:
        return math.inf
    if not expected.numel():
        return 0.0
    actual, expected = actual.detach().double(), expected.detach().double()
    difference = float((actual - expected).abs().max())
    largest = float(expected.abs().max())
    if largest == 0 and difference:
        return math.inf
    return difference / largest if largest else difference


def compare(pair: Pair) -> TensorError:
    """The error of one tensor; whole numbers must be equal, whatever the tolerance of the case."""
    whole = not (pair.expected.is_floating_point() or pair.expected.is_complex())
    if whole and pair.actual.is_floating_point() and not torch.equal(pair.actual, pair.actual.round()):
        return TensorError(pair.name, math.inf, EXACT)
    return TensorError(pair.name, relative_error(pair.actual, pair.expected), EXACT if whole else pair.tolerance)


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
