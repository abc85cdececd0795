"""Models beside each other: only figures of the same task, edition, items, protocol and backend share a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nava.evaluation.published.table import PublishedTable, published_table
from nava.evaluation.run.records import measured_differently, read_summary
from nava.runtime.errors import InputError

PUBLISHED = "published"
MEASURED = "measured"


@dataclass(frozen=True)
class BoardRow:
    """A model.

    Attributes:
        origin: `measured` here, or `published` by somebody.
        figures: by column title, as `summary.json` has them; of a published row the value alone.
    """

    model: str
    origin: str
    figures: dict[str, dict[str, Any]]


@dataclass
class Board:
    """A leaderboard of one task.

    Attributes:
        columns: titles in order: metric and backend, or `metric[published]`.
        source: of the published rows.
    """

    task: str
    columns: list[str]
    directions: dict[str, str]
    rows: list[BoardRow] = field(default_factory=list)
    source: str = ""


def leaderboard(folders: Sequence[Path]) -> Board:
    """The board of these results and of what is published on their task.

    Raises:
        InputError: a folder is no result, or the results are not of the same task, edition and items.
    """
    if not folders:
        raise InputError("a leaderboard needs at least one result folder")
    summaries = [read_summary(folder) for folder in folders]
    first = summaries[0]
    for folder, summary in zip(folders, summaries, strict=True):
        for name in ("task", "manifest_sha256"):
            if summary[name] != first[name]:
                raise InputError(
                    f"{folder} cannot stand beside {folders[0]}: {name} is {summary[name]} and {first[name]}"
                )
    summaries = by_measurement(summaries)
    columns = list(dict.fromkeys(figure["column"] for summary in summaries for figure in summary["figures"]))
    directions = {figure["column"]: figure["direction"] for summary in summaries for figure in summary["figures"]}
    board = Board(first["task"], columns, directions)
    for summary in summaries:
        figures = {figure["column"]: figure for figure in summary["figures"] if _may_stand(figure)}
        board.rows.append(BoardRow(summary["model"], MEASURED, figures))
    table = published_table(first["task"].partition(".")[0])
    if table is not None:
        _add_published(board, table)
    return board


def by_measurement(summaries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The summaries with what differs in the title of every column that they measured in several ways.

    A way is a protocol, and a version with its weights of the backend.
    """
    protocols: dict[str, set[str]] = {}
    backends: dict[str, set[str | None]] = {}
    for summary in summaries:
        for figure in summary["figures"]:
            protocols.setdefault(figure["column"], set()).add(figure["protocol"])
            backends.setdefault(figure["column"], set()).add(figure.get("backend_sha256"))

    def titled(figure: dict[str, Any]) -> dict[str, Any]:
        column = title = figure["column"]
        if len(protocols[column]) > 1:
            title += f" {figure['protocol']}"
        if measured_differently(backends[column]):
            title += f" {(figure.get('backend_sha256') or 'unknown')[:8]}"
        return {**figure, "column": title}

    return [{**summary, "figures": [titled(figure) for figure in summary["figures"]]} for summary in summaries]


def _may_stand(figure: dict[str, Any]) -> bool:
    """A figure that too few items have a value for would flatter or shame its model."""
    return figure["value"] is not None and figure["covered"]


def _add_published(board: Board, table: PublishedTable) -> None:
    from nava.evaluation.catalogue.manifest import catalogue

    titles = {title: f"{metric}[{PUBLISHED}]" for title, metric in table.columns.items()}
    board.source = table.source
    board.columns += titles.values()
    board.directions |= {titles[title]: catalogue()[metric].direction for title, metric in table.columns.items()}
    for row in table.rows:
        figures = {titles[title]: {"value": value} for title, value in row.values.items()}
        board.rows.append(BoardRow(row.model, PUBLISHED, figures))
