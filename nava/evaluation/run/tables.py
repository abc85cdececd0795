"""Results as tables of papers: Markdown and LaTeX, with intervals, and what is missing as a dash."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_LATEX = {character: "\\" + character for character in "&%_#${}"} | {
    "~": r"\~{}", "^": r"\^{}", "\\": "/", "–": "--", "−": "$-$", "↑": r"$\uparrow$", "↓": r"$\downarrow$",
}  # fmt: skip
_ARROWS = {"higher": ("↑", r"$\uparrow$"), "lower": ("↓", r"$\downarrow$")}


def markdown_table(results: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """A row for each result, a column for each figure."""
    columns = _columns(results)
    head = [f"{name.replace('|', ' ')} {_ARROWS[direction][0]}" for name, direction in columns.items()]
    lines = ["| model | " + " | ".join(head) + " |", "|" + "---|" * (len(head) + 1)]
    for label, summary in results:
        cells = _cells(summary)
        shown = [_words(cells.get(name), "[{}, {}]") for name in columns]
        lines.append(f"| {label.replace('|', ' ')} | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def latex_table(results: Sequence[tuple[str, Mapping[str, Any]]]) -> str:
    """The same for LaTeX with booktabs."""
    columns = _columns(results)
    head = [f"{escape_latex(name)} {_ARROWS[direction][1]}" for name, direction in columns.items()]
    lines = [
        r"\begin{tabular}{l" + "r" * len(head) + "}",
        r"\toprule",
        " & ".join(["Model", *head]) + r" \\",
        r"\midrule",
    ]
    for label, summary in results:
        cells = _cells(summary)
        shown = [_words(cells.get(name), r"{{\scriptsize [{}, {}]}}") for name in columns]
        lines.append(" & ".join([escape_latex(label), *shown]) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _columns(results: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[str, str]:
    return {figure["column"]: figure["direction"] for _, summary in results for figure in summary["figures"]}


def _cells(summary: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {figure["column"]: figure for figure in summary["figures"]}


def _words(figure: Mapping[str, Any] | None, interval: str) -> str:
    if figure is None or figure["value"] is None or not figure["covered"]:
        return "–"
    value = f"{figure['value']:.4g}"
    if figure["ci_low"] is None:
        return value
    return f"{value} " + interval.format(f"{figure['ci_low']:.4g}", f"{figure['ci_high']:.4g}")


def escape_latex(text: str) -> str:
    """Text as LaTeX shows it: nothing in it is a command."""
    return re.sub("|".join(map(re.escape, _LATEX)), lambda found: _LATEX[found[0]], text)
