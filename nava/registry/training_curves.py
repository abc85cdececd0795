"""The loss curves of all training stages of a run as MLflow series."""

from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from nava.runtime.handle import Handle
from nava.runtime.store import StepRow

CURVES_FILE = "curves.jsonl"
_NOT_CURVES = ("stage", "step", "samples")


def read_curves(checkpoint: Handle, steps: Iterable[StepRow]) -> dict[str, list[tuple[int, float]]]:
    """Curves by name, `stage2/loss_video` to (step, value).

    Args:
        checkpoint: the last stage's; always read.
        steps: the run's steps; the checkpoints among their results are the earlier stages'.
    """
    handles = [Handle.from_dict(step.handle) for step in steps if step.handle is not None]
    folders = {handle.path for handle in handles if handle.kind == checkpoint.kind} | {checkpoint.path}
    series: dict[str, list[tuple[int, float]]] = {}
    for folder in sorted(folders):
        for name, points in _curves_of(folder / CURVES_FILE).items():
            series[name] = points
    return series


def _curves_of(path: Path) -> dict[str, list[tuple[int, float]]]:
    # Here, because it brings torch along, which a step that is reused need not load.
    from nava.training.curves import read_curves as read_rows

    series: dict[str, list[tuple[int, float]]] = {}
    for row in read_rows(path) if path.is_file() else []:
        for name, value in asdict(row).items():
            if name not in _NOT_CURVES and value is not None:
                series.setdefault(f"stage{row.stage}/{name}", []).append((row.step, float(value)))
    return series
