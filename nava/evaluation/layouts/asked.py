"""The request file: what a model was asked for each item of a benchmark, and by what name its answer will go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nava.evaluation.benchmark.item import Item
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import read_json, write_json

SCHEMA_VERSION = 1
REQUEST_FILE = "requests.json"


@dataclass(frozen=True)
class Asked:
    """What a model got of one item.

    Attributes:
        item_id: of the benchmark.
        stem: what the name of its output begins with.
        expected: that name, for people.
        batch: of several runs of the model's script, the one that has the item; empty if there is one run.
        index: the item's place in that run, from 0.
        inputs: all that the model reads of it, by name; files by absolute path.
        left_out: what the item has and the model has no place for.
        made_by: who wrote the prompt.
        fell_back: whether that is another rewriter than the one that was asked.
        sha256: of the inputs, files by their content.
    """

    item_id: str
    stem: str
    expected: str
    batch: str
    index: int
    inputs: Mapping[str, Any]
    left_out: tuple[str, ...]
    made_by: str
    fell_back: bool
    sha256: str


@dataclass(frozen=True)
class NotTaken:
    """An item that the model was not asked for."""

    item_id: str
    reason: str


@dataclass(frozen=True)
class RequestFile:
    """All that one model was asked.

    Attributes:
        model: its name among the layouts of outputs.
        format: of its prompts, a name of `nava.rewriting.formats.FORMATS`.
        task: the benchmark, as columns of figures name it.
        items_sha256: of the items, see `items_sha256`.
        rewriter: who was asked to rewrite.
        seed: of the model's noise, where its script takes one with the request; else it is in the model's own settings.
        doubts: what about prompts and files could not be verified; empty if nothing.
        asked: in the order of the files that the model reads.
        not_taken: the other items.
    """

    model: str
    format: str
    task: str
    items_sha256: str
    rewriter: str
    seed: int
    doubts: tuple[str, ...]
    asked: tuple[Asked, ...]
    not_taken: tuple[NotTaken, ...]

    @property
    def reasons_by_item(self) -> dict[str, str]:
        """Why there is no output of an item, by its id."""
        return {entry.item_id: f"not asked of {self.model}: {entry.reason}" for entry in self.not_taken}

    @property
    def reasons(self) -> dict[str, int]:
        """Why items were not taken, with how many for each reason."""
        return dict(Counter(entry.reason for entry in self.not_taken).most_common())


def items_sha256(items: Sequence[Item]) -> str:
    """Identity of the items: requests for others are other requests."""
    return sha256_json([item.identity() for item in items])


def write_request_file(path: Path, requests: RequestFile) -> None:
    """Write it as JSON."""
    counts = {"asked": len(requests.asked), "not_taken": len(requests.not_taken), "reasons": requests.reasons}
    write_json(path, {"schema_version": SCHEMA_VERSION, "counts": counts, **asdict(requests)})


def read_request_file(path: Path) -> RequestFile:
    """Read one; of a folder, the one in it.

    Raises:
        InputError: there is none, it is no request file, or an item is in it twice.
    """
    places = (path / REQUEST_FILE, path / "inputs" / REQUEST_FILE) if path.is_dir() else (path,)
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise InputError(f"{path} holds no {REQUEST_FILE}; `nava eval requests --for MODEL` writes one")
    try:
        value = read_json(file)
        if value["schema_version"] != SCHEMA_VERSION:
            raise InputError(f"{file}: schema_version must be {SCHEMA_VERSION}; write the requests again")
        asked = tuple(Asked(**{**entry, "left_out": tuple(entry["left_out"])}) for entry in value["asked"])
        not_taken = tuple(NotTaken(**entry) for entry in value["not_taken"])
        named = {field.name: value[field.name] for field in fields(RequestFile)}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is no request file of `nava eval requests --for MODEL`: {error}") from error
    ids = Counter([*(entry.item_id for entry in asked), *(entry.item_id for entry in not_taken)])
    if twice := [item_id for item_id, count in ids.items() if count > 1]:
        raise InputError(f"{file}: items are there twice: {', '.join(twice[:5])}")
    return RequestFile(**{**named, "doubts": tuple(named["doubts"]), "asked": asked, "not_taken": not_taken})


def check_requests(requests: RequestFile, model: str, items: Sequence[Item]) -> None:
    """Refuse a request file that is of another model, or of other items.

    Raises:
        InputError: which of both, and what to do.
    """
    if requests.model != model:
        raise InputError(f"--requests are for {requests.model}, --layout is {model}: give the requests of that model")
    if requests.items_sha256 != items_sha256(items):
        raise InputError(
            f"--requests were written for {requests.task} with other items than these; give the same --task and "
            "--data, or write them again"
        )
