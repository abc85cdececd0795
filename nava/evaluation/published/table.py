"""Published tables, read from the YAML files beside this module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nava.evaluation.catalogue.manifest import catalogue
from nava.runtime.errors import InputError

FOLDER = Path(__file__).parent
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class PublishedRow:
    """A model's figures as somebody states them, by column title."""

    model: str
    size: str
    resolution: str
    values: Mapping[str, float]


@dataclass(frozen=True)
class PublishedTable:
    """A table of a paper or page.

    Attributes:
        task: whose benchmark it is of.
        source: where and when it was read.
        columns: by title, the metric that it most likely is.
    """

    task: str
    source: str
    columns: Mapping[str, str]
    rows: tuple[PublishedRow, ...]

    def row(self, model: str) -> PublishedRow:
        """A model's row. InputError lists those that there are."""
        for row in self.rows:
            if row.model.lower() == model.lower():
                return row
        raise InputError(
            f"{self.task}: no published row of {model!r}; there are {', '.join(r.model for r in self.rows)}"
        )


def published_table(task: str) -> PublishedTable | None:
    """The published table of a task, if there is one.

    Raises:
        InputError: the file is wrong; the message names the field.
    """
    import yaml

    path = FOLDER / f"{task}.yaml"
    return _parse(yaml.safe_load(path.read_text(encoding="utf-8")), path.name) if path.is_file() else None


def _parse(value: Mapping[str, Any], source: str) -> PublishedTable:
    if value.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{source}: schema_version must be {SCHEMA_VERSION}")
    if unknown := [metric for metric in value["columns"].values() if metric not in catalogue()]:
        raise InputError(f"{source}: columns names {', '.join(unknown)}, which the catalogue does not have")
    rows = tuple(PublishedRow(**row) for row in value["rows"])
    for row in rows:
        if strange := set(row.values) - set(value["columns"]):
            raise InputError(f"{source}: {row.model} has values of {', '.join(sorted(strange))}, which is no column")
    return PublishedTable(value["task"], value["source"], dict(value["columns"]), rows)
