"""The accuracy report as a table for the terminal, as Markdown and as JSON."""

from __future__ import annotations

import os
import platform
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.data_accuracy_statistics import Score

EXAMPLES = 12  # of each broken promise, in the terminal
ROOT = Path(__file__).resolve().parents[1]


def _figures(score: Score) -> tuple[str, str, str, str]:
    value = "-" if score.value is None else f"{score.value:.3f}"
    interval = f"{score.low:.3f} to {score.high:.3f}" if score.n else "-"
    promise = f">= {score.at_least:g}" if score.at_least is not None else ""
    promise = f"<= {score.at_most:g}" if score.at_most is not None else promise
    verdict = {None: "", True: "holds", False: "BROKEN"}[score.holds]
    return value, interval, promise, verdict


def terminal_table(scores: Sequence[Score]) -> str:
    """One line for each figure, and examples below those whose promise is broken."""
    lines = [f"{'':62} {'n':>5} {'value':>6}  {'95 % interval':16} {'promise':8}"]
    for score in scores:
        value, interval, promise, verdict = _figures(score)
        lines.append(f"{score.name:62} {score.n:5d} {value:>6}  {interval:16} {promise:8} {verdict}".rstrip())
        if score.holds is False:
            lines += [f"    {example}" for example in score.examples[:EXAMPLES]]
            if (more := len(score.examples) - EXAMPLES) > 0:
                lines.append(f"    and {more} more")
    return "\n".join(lines)


def confusion_table(confusion: Mapping[str, Counter[str]]) -> str:
    """True tag, and how often which tags were given."""
    lines = ["audio tags, true: given"]
    for truth, given in confusion.items():
        lines.append(f"    {truth}: " + ", ".join(f"{tags} {n}" for tags, n in given.most_common()))
    return "\n".join(lines)


def markdown_table(scores: Sequence[Score]) -> str:
    """For the documentation."""
    rows = ["| what | n | value | 95 % interval | promise | |", "|---|---|---|---|---|---|"]
    rows += [f"| {score.name} | {score.n} | " + " | ".join(_figures(score)) + " |" for score in scores]
    return "\n".join(rows) + "\n"


def to_json(
    scores: Sequence[Score], confusion: Mapping[str, Counter[str]], command: str, seeds: Sequence[int]
) -> dict[str, Any]:
    """Every figure, with what made it: command, machine, commit."""
    return {
        "command": command,
        "seeds": list(seeds),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "machine": {"cpu_count": os.cpu_count(), "platform": platform.platform(), "python": platform.python_version()},
        "scores": [{**asdict(score), "holds": score.holds} for score in scores],
        "audio_tags": {truth: dict(given) for truth, given in confusion.items()},
    }


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip()
