"""What a backend found in a file: numbers, texts and arrays, in one safetensors file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from nava.evaluation.scoring.score import Score
from nava.runtime.storage import atomic_file

_VALUES = "values"
# The value of features that cannot be had: why.
UNMEASURABLE = "unmeasurable"


class UnmeasurableError(Exception):
    """The file cannot be measured by this backend; the message is the reason of the row."""


@dataclass(frozen=True)
class Features:
    """What was found.

    Attributes:
        values: JSON values; a number that is not finite is refused.
        arrays: by name.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def score(self, name: str) -> Score:
        """A number, or why there is none."""
        value = self.values[name]
        if value is None:
            return Score.missing(str(self.values.get(f"{name}_reason") or f"{name} is undefined"))
        return Score(float(value))

    def array(self, name: str) -> np.ndarray:
        """An array. UnmeasurableError if the file has none of that kind."""
        if name not in self.arrays:
            raise UnmeasurableError(f"the clip has no {name.partition('_')[0]}")
        return self.arrays[name]


def scored(**scores: Score) -> dict[str, Any]:
    """Scores as values: a number, or null with its reason beside it."""
    values: dict[str, Any] = {}
    for name, score in scores.items():
        values |= {name: score.value, f"{name}_reason": score.reason}
    return values


def write_features(path: Path, features: Features) -> None:
    """Write atomically.

    Raises:
        UnmeasurableError: a number or an array has values that are not finite.
    """
    from safetensors.numpy import save_file

    wrong = [name for name, value in features.values.items() if isinstance(value, float) and not math.isfinite(value)]
    wrong += [
        name
        for name, array in features.arrays.items()
        if np.issubdtype(array.dtype, np.floating) and not np.isfinite(array).all()
    ]
    if wrong:
        raise UnmeasurableError(f"not finite: {', '.join(wrong)}")
    with atomic_file(path) as part:
        arrays = {name: np.ascontiguousarray(array) for name, array in features.arrays.items()}
        save_file(arrays, str(part), metadata={_VALUES: json.dumps(dict(features.values), sort_keys=True)})


def read_features(path: Path) -> Features:
    """Read what was written. OSError or SafetensorError: it is not there or damaged."""
    from safetensors import safe_open

    with safe_open(str(path), framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no mapping
        return Features(json.loads((file.metadata() or {}).get(_VALUES, "{}")), arrays)
