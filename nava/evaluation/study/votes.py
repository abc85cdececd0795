"""Votes: one line of JSON per answer, appended and kept before the rater is told so, and never changed.

A rater who goes back and answers again adds a line; `latest` takes the last one. Several threads and processes may
append at once. Of a writer that is killed within a line, that line is lost and nothing else.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from io import FileIO
from pathlib import Path

from nava.evaluation.study.fields import json_object
from nava.evaluation.study.study_file import CHOICES, KINDS, VOTE
from nava.runtime.storage import write_bytes

VOTE_SCHEMA_VERSION = 1
_BLOCK_BYTES = 4096


@dataclass(frozen=True)
class Vote:
    """One answer of one rater to one question about one item.

    Attributes:
        left_model, right_model: who was shown where.
        seconds: from the opening of the pair to the answer; None where nobody measured.
        played: whether both clips had been played to their end by then; None where nobody looked.
        time: UTC in ISO form; None where it is not known.
    """

    study_id: str
    rater: str
    item_id: str
    case_id: str
    task: str
    left_model: str
    right_model: str
    criterion: str
    choice: str
    kind: str = VOTE
    seconds: float | None = None
    played: bool | None = None
    time: str | None = None
    schema_version: int = VOTE_SCHEMA_VERSION

    def line(self) -> bytes:
        """The vote as a line of the file."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, allow_nan=False).encode() + b"\n"


_NAMES = tuple(field.name for field in fields(Vote))


def parse_vote(line: bytes, where: str) -> Vote:
    """The vote on a line. InputError names the place and the field."""
    found = json_object(line, where)
    version = found.get("schema_version")
    if version != VOTE_SCHEMA_VERSION:
        raise found.wrong("schema_version", f"must be {VOTE_SCHEMA_VERSION}; another program wrote this file")
    found.only(_NAMES)
    vote = Vote(
        study_id=found.text("study_id"),
        rater=found.text("rater"),
        item_id=found.text("item_id"),
        case_id=found.text("case_id"),
        task=found.text("task"),
        left_model=found.text("left_model"),
        right_model=found.text("right_model"),
        criterion=found.text("criterion"),
        choice=found.text("choice", CHOICES),
        kind=found.text("kind", KINDS),
        seconds=found.amount_or_none("seconds"),
        played=found.flag_or_none("played"),
        time=found.text_or_none("time"),
    )
    if vote.left_model == vote.right_model:
        raise found.wrong("right_model", "must differ from left_model")
    return vote


@dataclass(frozen=True)
class VoteFile:
    """What a file of votes holds.

    Attributes:
        votes: in the order in which they were given.
        lines, end: how many whole lines there are, and the byte behind the last of them.
        torn: what stands behind it: a vote whose writer was killed; empty otherwise.
    """

    votes: tuple[Vote, ...] = ()
    lines: int = 0
    end: int = 0
    torn: str = ""


class VoteStore:
    """An append-only file of votes. It is made by the first vote if it does not exist."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, vote: Vote) -> None:
        """Add a vote; it is on the disk when this returns.

        What a killed writer left of its line is removed first: nobody was told that this vote was kept.

        Raises:
            OSError: it could not be written; then the file is as it was.
        """
        # Opened for this call, so that the lock holds off other threads just as other processes.
        with self.path.open("ab+", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            end = _end_of_whole_lines(file)
            file.truncate(end)
            try:
                line = vote.line()
                if file.write(line) != len(line):
                    raise OSError(f"{self.path}: the disk took only a part of a vote")
                os.fsync(file.fileno())
            except OSError:
                file.truncate(end)
                raise

    def read(self, after: VoteFile | None = None) -> VoteFile:
        """The votes that came after an earlier reading, or all.

        Raises:
            InputError: a whole line is no vote; the message names line and field.
        """
        after = after or VoteFile()
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return VoteFile()
        with file:
            fcntl.flock(file, fcntl.LOCK_SH)
            file.seek(after.end)
            data = file.read()
        *lines, torn = data.split(b"\n")
        votes = tuple(
            parse_vote(line, f"{self.path}, line {number}") for number, line in enumerate(lines, start=after.lines + 1)
        )
        end = after.end + len(data) - len(torn)
        return VoteFile(votes, after.lines + len(lines), end, torn.decode(errors="replace"))


def write_votes(path: Path, votes: Iterable[Vote]) -> None:
    """Write a new file of votes, whole or not at all."""
    write_bytes(path, b"".join(vote.line() for vote in votes))


def latest(votes: Iterable[Vote]) -> list[Vote]:
    """The last answer of each rater to each question, in the order of the first ones."""
    found: dict[tuple[str, str, str], Vote] = {}
    for vote in votes:
        found[vote.rater, vote.item_id, vote.criterion] = vote
    return list(found.values())


def _end_of_whole_lines(file: FileIO) -> int:
    """The byte behind the last newline, found from the end."""
    end = file.seek(0, os.SEEK_END)
    while end:
        start = max(0, end - _BLOCK_BYTES)
        file.seek(start)
        at = file.read(end - start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0
