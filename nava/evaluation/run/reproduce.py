"""Published against measured: how far a model's figures here are from those that somebody states."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nava.evaluation.published.table import published_table
from nava.evaluation.run.records import read_summary
from nava.runtime.errors import InputError


@dataclass(frozen=True)
class Reproduced:
    """A published figure and, if there is one, the measured figure of the same metric.

    Attributes:
        relative: measured over published, minus 1.
        within: whether the published value lies in the measured interval; None without one.
        note: what stands in the way of comparing the two.
    """

    title: str
    metric: str
    published: float
    column: str
    measured: float | None
    relative: float | None
    within: bool | None
    note: str


def reproduce(folder: Path, model: str) -> list[Reproduced]:
    """Hold a result against the published row of a model.

    Raises:
        InputError: no result, nothing is published on its task, or no row of that model.
    """
    summary = read_summary(folder)
    task = summary["task"].partition(".")[0]
    table = published_table(task)
    if table is None:
        raise InputError(f"nothing that was published on {task} is known here")
    row = table.row(model)
    found = []
    for title, value in row.values.items():
        metric = table.columns[title]
        figures = [figure for figure in summary["figures"] if figure["metric"] == metric]
        if not figures:
            absent = [entry for entry in summary["absent"] if entry["metric"] == metric]
            reason = absent[0]["reason"] if absent else "the run did not ask for it"
            found.append(Reproduced(title, metric, value, "", None, None, None, f"not measured: {reason}"))
        for figure in figures:
            found.append(_held(title, metric, value, figure))
    return found


def _held(title: str, metric: str, published: float, figure: dict[str, object]) -> Reproduced:
    value, low, high = (figure[name] for name in ("value", "ci_low", "ci_high"))
    notes = []
    if figure["tier"] != "paper":
        notes.append("an embedded backend: the same question, another ruler")
    if figure["unproven"]:
        notes.append("the backend has never run on its real weights")
    if not figure["covered"]:
        notes.append(str(figure["reason"]))
    if not isinstance(value, float):
        return Reproduced(title, metric, published, str(figure["column"]), None, None, None, "; ".join(notes))
    within = low <= published <= high if isinstance(low, float) and isinstance(high, float) else None
    return Reproduced(
        title, metric, published, str(figure["column"]), value, value / published - 1, within, "; ".join(notes)
    )
