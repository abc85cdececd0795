"""The loss curves of a stage: one row per optimizer step, holding nothing that differs from run to run."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nava.runtime.hashing import canonical_json
from nava.runtime.storage import write_text


@dataclass(frozen=True)
class CurveRow:
    """One optimizer step.

    Attributes:
        step: step within the stage, from 1. samples: clips seen in the stage so far.
        loss: what was minimised, mean over the micro-batches.
        loss_video, loss_audio: mean errors of the velocities without weights; None if no micro-batch had the modality.
        grad_norm: before clipping.
    """

    stage: int
    step: int
    samples: int
    loss: float
    loss_video: float | None
    loss_audio: float | None
    lr: float
    grad_norm: float


def write_curves(path: Path, rows: Iterable[CurveRow]) -> None:
    """Write rows as JSON lines."""
    write_text(path, "".join(canonical_json(asdict(row)) + "\n" for row in rows))


def read_curves(path: Path) -> list[CurveRow]:
    """Read rows back."""
    values: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    return [CurveRow(**value) for value in values]
