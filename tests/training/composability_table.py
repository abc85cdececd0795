"""Writes docs/composability.md: what of the training engine may be combined, from runs that were compared.

python -m tests.training.composability_table [FOLDER]: tries all of it (a quarter of an hour on two idle cores).
"""

from __future__ import annotations

import math
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch

from tests.training.composability import FEATURES, STEPS, Combination, declared
from tests.training.composability_runs import AVERAGE, FAILED, LOSS, Outcome, outcomes
from tests.training.stage_runs import REPOSITORY

TABLE = REPOSITORY / "docs" / "composability.md"
COMMAND = "python -m tests.training.composability_table"
_HEAD = "| combination | state | losses | averages | why not |"
_TEXT = """# What of training goes together

Made by `{command}` at commit {commit} ({machine}); do not edit. `make soak` makes it again and compares;
`tests/training/test_composability.py` holds its rows and its refusals against the code, and runs a part of it, in CI.

Each green row is a stage of {steps} steps on a tiny model, ended and written as any stage is, beside the same stage in
a plain loop of one process ([plain_loop.py](../tests/training/plain_loop.py)). *Losses*: the largest relative
difference of a step's loss. *Averages*: distance of the averaged model that the stage leaves from the plain loop's,
as a share of the latter's distance from the start: the moving average is looked at in every row. Green is at most
{loss:g} and {average:g} in float32; in bf16, which is compared with float32, {loss_half:g} and {average_half:g}.

Rows are two processes on CPU with gloo, under ZeRO 1 unless they name another. *Half the ranks*: stopped after three
steps and resumed on half as many processes (2 to 1; with Ulysses 4 to 2). *Compile*: every block is captured whole by
Dynamo and run as captured; what inductor makes of it is compared in `tests/model/test_compilation.py`, in one process.
*Refused* is an error that names the settings, before anything is trained; *unproven* was never tried.

"""


def rendered(found: Mapping[Combination, Outcome]) -> str:
    """The page."""
    git = ["git", "-C", str(REPOSITORY)]
    commit = subprocess.run([*git, "rev-parse", "--short=12", "HEAD"], check=True, text=True, capture_output=True)
    text = _TEXT.format(
        command=COMMAND,
        commit=commit.stdout.strip(),
        machine=f"{platform.machine()}, torch {torch.__version__}",
        steps=STEPS,
        loss=LOSS["fp32"],
        average=AVERAGE["fp32"],
        loss_half=LOSS["bf16"],
        average_half=AVERAGE["bf16"],
    )
    return text + "\n".join([*_matrix(found), "", *_rows(found), ""])


def _matrix(found: Mapping[Combination, Outcome]) -> list[str]:
    """Pairs at a glance."""
    names = list(FEATURES)
    states = {frozenset(combination.features): outcome.state for combination, outcome in found.items()}
    lines = [f"| | {' | '.join(FEATURES[name][0] for name in names)} |", "|---" * (len(names) + 1) + "|"]
    for name in names:
        cells = [states.get(frozenset((name, other)), "") if other != name else "" for other in names]
        lines.append(f"| **{FEATURES[name][0]}** | {' | '.join(cells)} |")
    return lines


def _rows(found: Mapping[Combination, Outcome]) -> list[str]:
    lines = [_HEAD, "|---|---|---|---|---|"]
    for combination in declared():
        outcome = found[combination]
        figures = ("" if math.isnan(value) else f"{value:.0e}" for value in (outcome.loss, outcome.average))
        lines.append(f"| {combination.title} | {outcome.state} | {' | '.join(figures)} | {outcome.reason} |")
    return lines


def written(page: str) -> dict[str, tuple[str, str]]:
    """State and reason by the combination's title, from the page."""
    rows = page.partition(_HEAD)[2].strip().splitlines()[1:]
    cells = ([cell.strip() for cell in row.strip("|").split("|")] for row in rows)
    return {title: (state, reason) for title, state, _, _, reason in cells}


def main() -> None:
    """Try all, write the page; exit 1 if something failed."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="composability-"))
    found = outcomes(declared(), folder)
    TABLE.write_text(rendered(found))
    failed = [
        f"{combination.title}: {outcome.reason}" for combination, outcome in found.items() if outcome.state == FAILED
    ]
    print(f"wrote {TABLE}; the runs are in {folder}")
    sys.exit("\n".join(["failed:", *failed]) if failed else 0)


if __name__ == "__main__":
    main()
