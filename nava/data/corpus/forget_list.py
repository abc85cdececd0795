"""Which sources may be in no version any more: a list that the corpus repository keeps, and how a source is named."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from nava.runtime.errors import InputError
from nava.runtime.hashing import is_sha256
from nava.runtime.storage import write_json

LIST_NAME = "forgotten.json"
SCHEMA_VERSION = 1
# Columns by which a source may be named. A path is where a file lay once; the others stay true of later sources.
_COLUMNS = {"src_id": "src_id", "sha256": "src_sha256", "path": "src_path", "origin": "origin", "licence": "licence"}
_LASTING = ("src_id", "sha256", "origin", "licence")
_WILDCARDS = "*?["


@dataclass(frozen=True)
class SourceSelector:
    """Names sources by one of their facts.

    Attributes:
        by: `src_id`, `sha256`, `path`, `origin` or `licence`.
        pattern: the value; for path, origin and licence it may have the wildcards of a shell.
    """

    by: str
    pattern: str

    @classmethod
    def parse(cls, text: str) -> SourceSelector:
        """Read `src-0123...`, a sha256, `origin:TEXT`, `licence:TEXT`, `path:TEXT`, or a path.

        Raises:
            InputError: nothing is named, or every source is.
        """
        by, found, pattern = text.partition(":")
        if not found or by not in _COLUMNS:
            by, pattern = "path", text
            if text.startswith("src-"):
                by = "src_id"
            elif is_sha256(text):
                by = "sha256"
        if not pattern.strip(_WILDCARDS + "] "):
            raise InputError(f"{text!r} does not name a source; give its id, sha256 or path, or origin:NAME")
        return cls(by, pattern)

    def matches(self, source: Mapping[str, Any]) -> bool:
        """Whether a source, given by its manifest columns, is one that is meant."""
        value = source.get(_COLUMNS[self.by])
        if self.by in ("src_id", "sha256"):
            return bool(value == self.pattern)
        return value == self.pattern or fnmatchcase(value or "", self.pattern)


@dataclass(frozen=True)
class ForgottenEntry:
    """One request to forget.

    Attributes:
        by: how the sources were named.
        pattern: what they were named.
        reason: why, in the words of who asked.
        sources: sha256 by src_id of the sources that were found then; the same bytes are refused under any name.
    """

    by: str
    pattern: str
    reason: str
    sources: dict[str, str]

    def covers(self, source: Mapping[str, Any]) -> bool:
        """Whether a source is meant: one that was found, or a later one of a forgotten origin or licence."""
        if source["src_sha256"] in self.sources.values() or source["src_id"] in self.sources:
            return True
        return self.by in _LASTING and SourceSelector(self.by, self.pattern).matches(source)


class ForgetList:
    """The entries, oldest first."""

    def __init__(self, entries: Sequence[ForgottenEntry] = ()) -> None:
        self.entries = list(entries)

    @classmethod
    def parse(cls, content: bytes | None) -> ForgetList:
        """Read the committed file; empty where there is none.

        Raises:
            InputError: it is of another schema version.
        """
        if content is None:
            return cls()
        value = json.loads(content)
        if value.get("schema_version") != SCHEMA_VERSION:
            found = value.get("schema_version")
            raise InputError(f"{LIST_NAME} has schema version {found}; this code reads {SCHEMA_VERSION}")
        return cls([ForgottenEntry(**entry) for entry in value["entries"]])

    def write(self, folder: Path) -> None:
        """Write the file into a repository's folder."""
        entries = [asdict(entry) for entry in self.entries]
        write_json(folder / LIST_NAME, {"schema_version": SCHEMA_VERSION, "entries": entries})

    def with_entry(self, entry: ForgottenEntry) -> ForgetList:
        """The list and one more entry; an entry for the same sources by the same name is replaced."""
        same = [(item.by, item.pattern) == (entry.by, entry.pattern) for item in self.entries]
        before = [item for item, is_same in zip(self.entries, same, strict=True) if is_same]
        sources = {name: sha for item in [*before, entry] for name, sha in item.sources.items()}
        merged = ForgottenEntry(entry.by, entry.pattern, entry.reason, sources)
        return ForgetList([*(item for item in self.entries if item not in before), merged])

    def covered(self, sources: Iterable[Mapping[str, Any]]) -> list[str]:
        """The ids of those sources that the list covers, sorted."""
        return sorted({row["src_id"] for row in sources if any(entry.covers(row) for entry in self.entries)})
