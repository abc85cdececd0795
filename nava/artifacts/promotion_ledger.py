"""The promotion ledger: who moved which model version where, when and why; append-only and hash-chained.

Each entry's hash covers its content and the hash of the entry before, so that an entry that is changed, removed or put
in later breaks the chain at its place. Entries cut off the end show only against a head kept elsewhere
(`expected_head`).
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nava.runtime.errors import InputError, NavaError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import read_json, write_json

SCHEMA_VERSION = 1
GENESIS = "0" * 64


class LedgerBroken(NavaError):  # noqa: N818 - a finding, worded for the user
    """The ledger is not what was written; the message says at which entry."""


@dataclass(frozen=True)
class LedgerEntry:
    """One movement of an alias.

    Attributes:
        sequence: 1, 2, 3, ...
        recorded_at: ISO 8601, UTC.
        actor: who asked for it.
        action: `promote` or `rollback`.
        model: name of the registered model.
        from_version: the champion before, None if there was none. to_version: the champion after.
        evidence: sha256 of what the decision rests on, by artifact kind.
        approval: `policy` (auto or manual), `approved_by`, and `reason` where one was given.
        request: identity of what was asked for: the same promotion, asked for again, is not entered again.
        previous_hash: `entry_hash` of the entry before. entry_hash: hash of all other fields.
    """

    sequence: int
    recorded_at: str
    actor: str
    action: str
    model: str
    from_version: int | None
    to_version: int
    evidence: dict[str, str]
    approval: dict[str, str]
    request: str
    previous_hash: str
    entry_hash: str = ""

    def computed_hash(self) -> str:
        """The hash that `entry_hash` must be."""
        value = asdict(self)
        del value["entry_hash"]
        return sha256_json(value)


def verify_ledger(entries: Sequence[LedgerEntry], expected_head: str | None = None) -> None:
    """Return only if the chain is whole.

    Args:
        entries: all entries in order.
        expected_head: hash of the last entry as kept elsewhere (the registry); shows a shortened ledger.

    Raises:
        LedgerBroken: an entry was changed, removed, put in or moved.
    """
    previous = GENESIS
    for position, entry in enumerate(entries, start=1):
        if entry.sequence != position:
            raise LedgerBroken(
                f"promotion ledger: entry {position} is missing; entry {entry.sequence} stands in its place"
            )
        if entry.previous_hash != previous:
            raise LedgerBroken(f"promotion ledger: entry {position} does not follow from the entry before it")
        if entry.entry_hash != entry.computed_hash():
            raise LedgerBroken(f"promotion ledger: entry {position} was changed after it was written")
        previous = entry.entry_hash
    if expected_head is not None and previous != expected_head:
        raise LedgerBroken(f"promotion ledger: it ends at entry {len(entries)}, but the registry knows a later one")


def write_ledger(path: Path, entries: Sequence[LedgerEntry]) -> None:
    """Export the whole ledger as JSON, atomically."""
    write_json(path, {"schema_version": SCHEMA_VERSION, "entries": [asdict(entry) for entry in entries]})


def read_ledger(path: Path) -> list[LedgerEntry]:
    """Read an exported ledger; verify it with `verify_ledger`. InputError for another schema version or field."""
    value: dict[str, Any] = read_json(path)
    if value.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{path} has schema version {value.get('schema_version')!r}; this code reads {SCHEMA_VERSION}")
    known = {field.name for field in fields(LedgerEntry)}
    for item in value["entries"]:
        if wrong := known ^ set(item):
            raise InputError(f"{path}: an entry has missing or unknown fields: {', '.join(sorted(wrong))}")
    return [LedgerEntry(**item) for item in value["entries"]]
