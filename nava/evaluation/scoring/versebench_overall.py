"""Verse-Bench's overall score from its single metrics (section 1.1 of the evaluation reference)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nava.evaluation.scoring.score import Score
from nava.runtime.errors import InputError

BOUNDS: dict[str, tuple[float, float]] = {
    "AS": (0.0, 1.0),
    "ID": (0.0, 1.0),
    "FD": (3.0, 0.0),
    "KL": (4.0, 0.0),
    "CS": (0.0, 1.0),
    "CE": (1.0, 10.0),
    "CU": (1.0, 10.0),
    "PC": (10.0, 1.0),
    "PQ": (1.0, 10.0),
    "WER": (1.0, 0.0),
    "LSE-C": (0.0, 10.0),
    "AV-A": (1.0, 0.0),
}
"""What counts as worst and as best of each metric; values beyond are cut off."""

VIDEO = ("AS", "ID")
AUDIO = ("FD", "KL", "CS", "CE", "CU", "PC", "PQ")
OTHER = ("WER", "LSE-C")
WEIGHTS = {"joint": 0.5, "video": 0.2, "audio": 0.2, "other": 0.1}


@dataclass(frozen=True)
class OverallScore:
    """The overall score and its parts, 0..1; each has a reason where a metric is missing."""

    overall: Score
    video: Score
    audio: Score
    joint: Score
    other: Score


def overall_score(values: Mapping[str, float | None]) -> OverallScore:
    """Official weights: half joint (harmonic mean of CS and AV-A), then video, audio, and speech.

    Args:
        values: by name as in `BOUNDS`, in each metric's own unit. None or absent: the parts that need it have no value,
            and neither has the whole; a mean over fewer metrics would be another score.

    InputError for unknown names and for values that are not finite.
    """
    unknown = sorted(set(values) - set(BOUNDS))
    if unknown:
        raise InputError(
            f"Verse-Bench's overall score has no {', '.join(unknown)}: its metrics are {', '.join(BOUNDS)}"
        )
    normal = {name: normalised(name, value) for name, value in values.items() if value is not None}
    parts = {
        "joint": _part(normal, ("CS", "AV-A"), _harmonic_mean),
        "video": _part(normal, VIDEO, _mean),
        "audio": _part(normal, AUDIO, _mean),
        "other": _part(normal, OTHER, _mean),
    }
    reasons = [f"{name}: {part.reason}" for name, part in parts.items() if part.value is None]
    overall = Score.missing("; ".join(reasons)) if reasons else Score(_weighted(parts))
    return OverallScore(overall, parts["video"], parts["audio"], parts["joint"], parts["other"])


def normalised(name: str, value: float) -> float:
    """A metric's value as 0 (worst) to 1 (best)."""
    if not math.isfinite(value):
        raise InputError(f"{name} is {value}: leave a metric out that was not measured")
    worst, best = BOUNDS[name]
    return min(1.0, max(0.0, (value - worst) / (best - worst)))


def _part(normal: Mapping[str, float], names: tuple[str, ...], combine: Callable[[list[float]], float]) -> Score:
    missing = [name for name in names if name not in normal]
    if missing:
        return Score.missing(f"not measured: {', '.join(missing)}")
    return Score(combine([normal[name] for name in names]))


def _weighted(parts: Mapping[str, Score]) -> float:
    return sum(weight * value for name, weight in WEIGHTS.items() if (value := parts[name].value) is not None)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _harmonic_mean(values: list[float]) -> float:
    """0 if one of them is 0."""
    return len(values) / sum(1 / value for value in values) if min(values) > 0 else 0.0
