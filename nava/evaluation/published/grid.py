"""Tables of papers from cells with intervals and footnotes: Markdown, and LaTeX with booktabs."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass, field

from nava.evaluation.run.tables import escape_latex
from nava.pages.ablation_page import estimate_words

DASH = "–"
MEASURED, PUBLISHED = "measured", "published"
_ARROWS = {"": ("", ""), "higher": (" ↑", r" $\uparrow$"), "lower": (" ↓", r" $\downarrow$")}


@dataclass(frozen=True)
class Cell:
    """A value, its interval, and the letters of its footnotes."""

    value: str
    interval: str = ""
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class GridRow:
    """A row and where it is from: `measured` here, `published` by somebody, or a `difference` of two rows."""

    label: str
    origin: str
    cells: Sequence[Cell]


@dataclass
class Grid:
    """A table.

    Attributes:
        head: titles of all columns with their directions; that of the labels comes first.
        notes: footnotes, by letter.
        remarks: what is said below the footnotes.
    """

    caption: str
    head: Sequence[tuple[str, str]]
    rows: list[GridRow] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def mark(self, text: str) -> str:
        """The letter of a footnote; the same text has the same letter."""
        for letter, known in self.notes.items():
            if known == text:
                return letter
        number = len(self.notes)
        letters = string.ascii_lowercase
        letter = letters[number % len(letters)] * (1 + number // len(letters))
        self.notes[letter] = text
        return letter

    def missing(self, reason: str) -> Cell:
        """A dash with the reason as its footnote."""
        return Cell(DASH, marks=(self.mark(reason),))


def number_cell(
    value: float, low: float | None, high: float | None, *, sign: bool = False, marks: Sequence[str] = ()
) -> Cell:
    """A number with its interval, both with two digits of the interval's half width; differences with their sign."""
    text, interval = estimate_words({"value": value, "ci_low": low, "ci_high": high})
    plus = "+" if sign and value > 0 else ""
    return Cell(plus + text, "" if low is None or high is None else interval, tuple(marks))


def markdown(grid: Grid) -> str:
    """The table as Markdown, with its footnotes below."""
    head = [f"{_cell(title)}{_ARROWS[direction][0]}" for title, direction in grid.head]
    lines = [f"**{_cell(grid.caption)}**", "", _line(head), _line(["---"] * len(head))]
    for row in grid.rows:
        lines.append(_line([_cell(_labelled(row)), *map(_markdown_cell, row.cells)]))
    notes = [f"({letter}) {_cell(text)}" for letter, text in grid.notes.items()]
    below = [*notes, *grid.remarks]
    return "\n".join([*lines, *([""] if below else []), *(f"- {text}" for text in below)]) + "\n"


def latex(grid: Grid) -> str:
    """The table as LaTeX with booktabs, its footnotes as lines below it."""
    head = [f"{escape_latex(title)}{_ARROWS[direction][1]}" for title, direction in grid.head]
    lines = [
        f"% {' '.join(grid.caption.split())}",
        r"\begin{tabular}{l" + "r" * (len(head) - 1) + "}",
        r"\toprule",
        " & ".join(head) + r" \\",
        r"\midrule",
    ]
    for before, row in zip([None, *grid.rows], grid.rows, strict=False):
        if before is not None and before.origin != row.origin:
            lines.append(r"\midrule")
        lines.append(" & ".join([escape_latex(_labelled(row)), *map(_latex_cell, row.cells)]) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    notes = [rf"\textsuperscript{{{letter}}}\,{escape_latex(text)}" for letter, text in grid.notes.items()]
    below = [rf"\par\noindent{{\footnotesize {text}}}" for text in (*notes, *map(escape_latex, grid.remarks))]
    return "\n".join([*lines, *below]) + "\n"


def _labelled(row: GridRow) -> str:
    return f"{row.label} ({row.origin})" if row.origin else row.label


def _markdown_cell(cell: Cell) -> str:
    marks = f"({', '.join(cell.marks)})" if cell.marks else ""
    return " ".join(part for part in (_cell(cell.value), _cell(cell.interval), marks) if part)


def _latex_cell(cell: Cell) -> str:
    interval = rf" {{\scriptsize {escape_latex(cell.interval)}}}" if cell.interval else ""
    marks = rf"\textsuperscript{{{','.join(cell.marks)}}}" if cell.marks else ""
    return f"{escape_latex(cell.value)}{interval}{marks}"


def _cell(text: str) -> str:
    """Text that does not end a cell of Markdown, nor a line, nor begins a tag."""
    return " ".join(text.split()).replace("|", r"\|").replace("<", "&lt;")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
