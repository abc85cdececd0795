"""The loss curves of a stage: one row per optimizer step, holding nothing that differs from run to run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from nava.runtime.hashing import canonical_json
from nava.runtime.storage import write_text

if TYPE_CHECKING:
    # Readers of curves, the page among them, need no torch.
    from nava.diffusion.loss import LossTerms


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


def curve_row(
    stage: int, step: int, samples: int, terms: Sequence[LossTerms], *, lr: float, grad_norm: float
) -> CurveRow:
    """The row of a step from the losses of its micro-batches."""
    video = [float(part.video) for part in terms if part.video is not None]
    audio = [float(part.audio) for part in terms if part.audio is not None]
    return CurveRow(
        stage=stage,
        step=step,
        samples=samples,
        loss=fmean(float(part.total.detach()) for part in terms),
        loss_video=fmean(video) if video else None,
        loss_audio=fmean(audio) if audio else None,
        lr=lr,
        grad_norm=grad_norm,
    )


def write_curves(path: Path, rows: Iterable[CurveRow]) -> None:
    """Write rows as JSON lines."""
    write_text(path, "".join(canonical_json(asdict(row)) + "\n" for row in rows))


def read_curves(path: Path) -> list[CurveRow]:
    """Read rows back."""
    values: list[dict[str, Any]] = [json.loads(line) for line in path.read_text().splitlines()]
    return [CurveRow(**value) for value in values]
