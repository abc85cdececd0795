"""The desk at which raters sit: what each is shown next, and the keeping of their answers. Knows nothing of HTTP."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nava.evaluation.study.ordering import rater_order
from nava.evaluation.study.study_file import VOTES_FILE, Item, read_study
from nava.evaluation.study.votes import Vote, VoteFile, VoteStore
from nava.runtime.errors import InputError, NavaError

_NAME_CHARACTERS = 60


class VotesUnreadableError(NavaError):
    """The file of votes was damaged while a study was going on. For its owner: the message has paths in it."""


def rater_name(text: str) -> str:
    """The name under which a rater's votes are kept: one form for what people take to be the same.

    Raises:
        InputError: it is empty, too long, or has characters that cannot be seen.
    """
    name = " ".join(unicodedata.normalize("NFKC", text).split()).casefold()
    if not name:
        raise InputError("Please enter a name or the code you were given.")
    if len(name) > _NAME_CHARACTERS:
        raise InputError(f"The name is too long: {len(name)} characters; at most {_NAME_CHARACTERS}.")
    if not any(character.isalnum() for character in name):
        # Also keeps "." and ".." out of addresses, where browsers give them a meaning.
        raise InputError("The name needs at least one letter or digit.")
    if not name.isprintable():
        raise InputError("The name has characters that cannot be seen; please type it again.")
    return name


@dataclass(frozen=True)
class Answer:
    """What a rater's browser sends."""

    item_id: str
    criterion: str
    choice: str
    seconds: float
    played: bool


class StudyDesk:
    """One study and its votes. Threads may share it, and other processes may serve the same study."""

    def __init__(self, folder: Path, raters: Collection[str] = ()) -> None:
        """Read the study and what was answered so far. With `raters`, nobody else may take part.

        Raises:
            InputError: there is no study, or its votes are of another one or malformed.
        """
        self.folder = folder
        self.study = read_study(folder)
        self._raters = frozenset(map(rater_name, raters))
        self._store = VoteStore(folder / VOTES_FILE)
        self._lock = threading.Lock()
        self._read = VoteFile()
        self._choices: dict[tuple[str, str], dict[str, str]] = {}
        self._catch_up()

    def admit(self, text: str) -> str:
        """The rater of a name. InputError if it is none, or not among those who are invited."""
        name = rater_name(text)
        if self._raters and name not in self._raters:
            raise InputError("This code is not among those that were given out. Please check it for typing errors.")
        return name

    def order(self, rater: str) -> list[Item]:
        """The items in this rater's order."""
        return rater_order(self.study, rater)

    def answers(self, rater: str, item_id: str) -> dict[str, str]:
        """The choices of a rater on an item, by criterion."""
        with self._lock:
            self._look_again()
            return dict(self._choices.get((rater, item_id), {}))

    def place(self, rater: str) -> int:
        """Index of the first item that is not answered whole; the number of items when all are."""
        order = self.order(rater)
        with self._lock:
            self._look_again()
            for index, item in enumerate(order):
                if not self._complete(rater, item.item_id):
                    return index
        return len(order)

    def record(self, rater: str, answer: Answer) -> bool:
        """Keep an answer; when this returns it is on the disk. Returns whether the item is answered whole.

        Raises:
            InputError: the study has no such item or criterion.
            VotesUnreadableError: as the name says; nothing was added.
            OSError: the answer could not be written.
        """
        item = self.study.items_by_id.get(answer.item_id)
        if item is None or answer.criterion not in self.study.criteria:
            raise InputError("This pair or question is not part of the study; please reload the page.")
        vote = Vote(
            study_id=self.study.study_id,
            rater=rater,
            item_id=item.item_id,
            case_id=item.case_id,
            task=self.study.cases_by_id[item.case_id].task,
            left_model=item.left_model,
            right_model=item.right_model,
            criterion=answer.criterion,
            choice=answer.choice,
            kind=item.kind,
            seconds=round(answer.seconds, 3),
            played=answer.played,
            time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        )
        with self._lock:
            self._look_again()  # nothing is added to a file that cannot be read any more
            self._store.append(vote)
            self._look_again()
            return self._complete(rater, item.item_id)

    def _complete(self, rater: str, item_id: str) -> bool:
        return self._choices.get((rater, item_id), {}).keys() >= set(self.study.criteria)

    def _look_again(self) -> None:
        try:
            self._catch_up()
        except InputError as error:
            raise VotesUnreadableError(str(error)) from error

    def _catch_up(self) -> None:
        """Read what was added since, by whichever process. The lock is held."""
        found = self._store.read(self._read)
        others = [vote.study_id for vote in found.votes if vote.study_id != self.study.study_id]
        if others:
            raise InputError(f"{self._store.path} has votes of study '{others[0]}', not of this one")
        self._read = found
        for vote in found.votes:
            self._choices.setdefault((vote.rater, vote.item_id), {})[vote.criterion] = vote.choice
