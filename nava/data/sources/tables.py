"""Rows of CSV, TSV, JSONL and parquet files, here or in a bucket, and the typed values in them.

A row's number counts from 1; the header of a CSV file is not counted. Errors name file, row and field.
"""

import csv
import difflib
import io
import json
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

from nava.data.media_root import MediaRoot
from nava.runtime.errors import InputError

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
_MAX_CELL_CHARACTERS = 1 << 20


class RowError(ValueError):
    """A row cannot be used; the message names the field and says why."""


@dataclass(frozen=True)
class Place:
    """Where a row stands: the file's name, and the row's number from 1."""

    table: str
    number: int

    def __str__(self) -> str:
        return f"{self.table}, row {self.number}"


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        place: where it stands, for messages.
        values: by column; cells without a value are left out.
    """

    place: Place
    values: dict[str, Any]

    def text(self, field: str) -> str:
        """A text without the spaces around it; empty if there is none. RowError for anything but a text."""
        value = self.values.get(field, "")
        if not isinstance(value, str):
            raise RowError(f"field '{field}' is {value!r}; it must be a text")
        if "\0" in value:
            raise RowError(f"field '{field}' holds a NUL character")
        return value.strip()

    def number_of(self, field: str) -> float | None:
        """A finite number, or None if there is no value. RowError for anything else."""
        value = self.values.get(field)
        if value is None:
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number):
            raise RowError(f"field '{field}' is {value!r}; it must be a number")
        return number

    def microseconds(self, field: str) -> int | None:
        """A time given in seconds, from 0 on, in microseconds; None if there is no value."""
        seconds = self.number_of(field)
        if seconds is None:
            return None
        if seconds < 0:
            raise RowError(f"field '{field}' is {self.values[field]!r}; a time cannot be below 0")
        return round(seconds * 1e6)


def read_rows(root: MediaRoot, name: str, required: Collection[str], known: Collection[str]) -> Iterator[Row]:
    """The rows of a table file, in order.

    Args:
        root: folder or bucket with the file.
        name: of the file in it; its suffix says the format.
        required: columns that must be there.
        known: columns that may be there; empty lets any be there.

    Raises:
        InputError: the file cannot be read, is no such table, or has other columns; the message names the row.
    """
    suffix = PurePosixPath(name).suffix.lower()
    readers = {".csv": _csv_rows, ".tsv": _tsv_rows, ".jsonl": _jsonl_rows, ".parquet": _parquet_rows}
    if suffix not in readers:
        raise InputError(f"{name} is no table that can be read: wanted is a file ending in {', '.join(readers)}")
    columns = _Columns(name, frozenset(required), frozenset(known))
    with root.open(name) as file:
        yield from readers[suffix](file, name, columns)


@dataclass(frozen=True)
class _Columns:
    table: str
    required: frozenset[str]
    known: frozenset[str]

    def check(self, found: Collection[str], where: str = "") -> None:
        """Refuse missing, unknown and repeated columns."""
        place = f"{self.table}{where}"
        repeated = {column for column in found if list(found).count(column) > 1}
        if repeated:
            raise InputError(f"{place}: the column '{min(repeated)}' is there more than once")
        missing = sorted(self.required - set(found))
        if missing:
            raise InputError(
                f"{place}: there is no column '{missing[0]}'; found: {', '.join(sorted(found)) or 'no columns'}"
            )
        unknown = sorted(set(found) - self.known) if self.known else []
        if unknown:
            near = difflib.get_close_matches(unknown[0], self.known, n=1, cutoff=0.6)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            allowed = ", ".join(sorted(self.known))
            raise InputError(f"{place}: unknown column '{unknown[0]}'{hint} (columns may be: {allowed})")


def _csv_rows(file: IO[bytes], name: str, columns: _Columns, delimiter: str = ",") -> Iterator[Row]:
    csv.field_size_limit(_MAX_CELL_CHARACTERS)
    number = 0
    # No buffer must be closed here that whoever opened the file closes.
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    try:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        header = [cell.strip() for cell in next(reader, [])]
        columns.check(header)
        for cells in reader:
            if not cells:
                continue
            number += 1
            if len(cells) != len(header):
                raise InputError(f"{name}, row {number}: {len(cells)} fields where the header has {len(header)}")
            yield Row(Place(name, number), {key: cell for key, cell in zip(header, cells, strict=True) if cell.strip()})
    except UnicodeDecodeError as error:
        raise InputError(
            f"{name}, near row {number + 1}: not UTF-8 ({error.reason}); save the file as UTF-8"
        ) from error
    except csv.Error as error:
        raise InputError(f"{name}, row {number + 1}: not CSV: {error}") from error
    finally:
        text.detach()


def _tsv_rows(file: IO[bytes], name: str, columns: _Columns) -> Iterator[Row]:
    yield from _csv_rows(file, name, columns, delimiter="\t")


def _jsonl_rows(file: IO[bytes], name: str, columns: _Columns) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
        except UnicodeDecodeError as error:
            raise InputError(f"{name}, row {number}: not UTF-8 ({error.reason}); save the file as UTF-8") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{name}, row {number}: not JSON: {error}") from error
        if not isinstance(value, dict):
            raise InputError(f"{name}, row {number}: {type(value).__name__} where a JSON object is wanted")
        columns.check(list(value), f", row {number}")
        yield Row(Place(name, number), {key: item for key, item in value.items() if item not in (None, "")})


def _parquet_rows(file: IO[bytes], name: str, columns: _Columns) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        table = pq.ParquetFile(file)
        columns.check(table.schema_arrow.names)
        for batch in table.iter_batches(batch_size=8192):
            for values in batch.to_pylist():
                number += 1
                yield Row(Place(name, number), {key: item for key, item in values.items() if item not in (None, "")})
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{name}, after row {number}: not parquet: {str(error).splitlines()[0]}") from error
