"""The contract of a study: a folder with `study.json` and `media/`, made once and never changed.

::

    {"schema_version": 1, "study_id": "...", "seed": 7,
     "models": ["..."], "criteria": ["overall quality", "audio-visual alignment"],
     "cases": [{"case_id", "task": "T2AV" | "TI2AV", "prompt", "image": null | "media/<name>.png",
                "media": {model: "media/<name>.mp4"}}],
     "items": [{"item_id", "kind": "vote" | "attention" | "repeat", "case_id", "left_model", "right_model",
                "left_media", "right_media", "repeat_of": null | item_id, "intact": null | "left" | "right"}]}

It names the models, so no part of it may reach a rater's browser: that sees items by id, and clips as "left of item X".
Names of media are hexadecimal digits with a suffix, and a path that is anything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from nava.evaluation.study.fields import Fields, json_object
from nava.runtime.errors import InputError
from nava.runtime.storage import write_json

SCHEMA_VERSION = 1
STUDY_FILE, MEDIA_DIR, VOTES_FILE = "study.json", "media", "votes.jsonl"
OVERALL, ALIGNMENT = "overall quality", "audio-visual alignment"
CRITERIA = (OVERALL, ALIGNMENT)
TASKS = ("T2AV", "TI2AV")
VOTE, ATTENTION, REPEAT = "vote", "attention", "repeat"
KINDS = (VOTE, ATTENTION, REPEAT)
LEFT, RIGHT, TIE = "left", "right", "tie"
SIDES = (LEFT, RIGHT)
CHOICES = (LEFT, TIE, RIGHT)
BROKEN = "(broken copy)"
"""What stands for the model of a clip that was broken on purpose."""

VIDEO_TYPES = {".mp4": "video/mp4", ".webm": "video/webm"}
IMAGE_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".webp": "image/webp"}
MEDIA_TYPES = VIDEO_TYPES | IMAGE_TYPES
_MEDIA_PATH = re.compile(rf"{MEDIA_DIR}/[0-9a-f]{{16}}(\.[a-z0-9]+)")


@dataclass(frozen=True)
class Case:
    """A prompt and what each model made of it; paths are relative to the study. `image`: the given first frame."""

    case_id: str
    task: str
    prompt: str
    image: str | None
    media: Mapping[str, str]


@dataclass(frozen=True)
class Item:
    """Two clips that a rater compares. `intact`: the side of an attention check that is not broken."""

    item_id: str
    kind: str
    case_id: str
    left_model: str
    right_model: str
    left_media: str
    right_media: str
    repeat_of: str | None = None
    intact: str | None = None


@dataclass(frozen=True)
class Study:
    """A study as it was drawn."""

    study_id: str
    seed: int
    models: tuple[str, ...]
    criteria: tuple[str, ...]
    cases: tuple[Case, ...]
    items: tuple[Item, ...]

    @cached_property
    def cases_by_id(self) -> dict[str, Case]:
        """The cases by id."""
        return {case.case_id: case for case in self.cases}

    @cached_property
    def items_by_id(self) -> dict[str, Item]:
        """The items by id."""
        return {item.item_id: item for item in self.items}

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that have cases."""
        return tuple(task for task in TASKS if any(case.task == task for case in self.cases))

    def media_paths(self) -> list[str]:
        """Every file that a rater may be shown, each once, sorted."""
        paths = {path for item in self.items for path in (item.left_media, item.right_media)}
        return sorted(paths | {case.image for case in self.cases if case.image})


def write_study(folder: Path, study: Study) -> None:
    """Write `study.json`, atomically."""
    write_json(folder / STUDY_FILE, {"schema_version": SCHEMA_VERSION} | asdict(study))


def read_study(folder: Path) -> Study:
    """Read a study and check that it is whole.

    Raises:
        InputError: there is none, its schema is another, a field is wrong, a path leads elsewhere, a file is missing.
    """
    path = folder / STUDY_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{folder} holds no study: {path.name}: {error.strerror}; `study make` makes one") from error
    fields = json_object(data, str(path))
    version = fields.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(f"{path}: schema version {version!r}; this program reads {SCHEMA_VERSION}")
    study = Study(
        study_id=fields.text("study_id"),
        seed=fields.whole("seed"),
        models=fields.names("models"),
        criteria=fields.names("criteria"),
        cases=tuple(_case(row, f"{path}, case {number}") for number, row in enumerate(fields.rows("cases"), start=1)),
        items=tuple(_item(row, f"{path}, item {number}") for number, row in enumerate(fields.rows("items"), start=1)),
    )
    _check(study, str(path))
    for relative in study.media_paths():
        file = folder / relative
        if file.is_symlink() or not file.is_file():
            raise InputError(f"{path}: {relative} is missing or no plain file; make the study again")
    return study


def _case(value: Any, where: str) -> Case:
    fields = Fields(value, where)
    media = Fields(fields.get("media"), f"{where}, media")
    models = list(fields.get("media"))
    return Case(
        case_id=fields.text("case_id"),
        task=fields.text("task", TASKS),
        prompt=fields.text("prompt"),
        image=_path(fields, "image", IMAGE_TYPES) if fields.get("image") is not None else None,
        media={model: _path(media, model, VIDEO_TYPES) for model in models},
    )


def _item(value: Any, where: str) -> Item:
    fields = Fields(value, where)
    kind = fields.text("kind", KINDS)
    repeat_of, intact = fields.text_or_none("repeat_of"), fields.text_or_none("intact", SIDES)
    if (kind == REPEAT) != (repeat_of is not None):
        raise fields.wrong("repeat_of", f"must name an item for kind {REPEAT}, and be null for others")
    if (kind == ATTENTION) != (intact is not None):
        raise fields.wrong("intact", f"must name a side for kind {ATTENTION}, and be null for others")
    return Item(
        item_id=fields.text("item_id"),
        kind=kind,
        case_id=fields.text("case_id"),
        left_model=fields.text("left_model"),
        right_model=fields.text("right_model"),
        left_media=_path(fields, "left_media", VIDEO_TYPES),
        right_media=_path(fields, "right_media", VIDEO_TYPES),
        repeat_of=repeat_of,
        intact=intact,
    )


def _path(fields: Fields, name: str, types: Mapping[str, str]) -> str:
    path = fields.text(name)
    match = _MEDIA_PATH.fullmatch(path)
    if match is None or match[1] not in types:
        raise fields.wrong(name, f"must be {MEDIA_DIR}/ and 16 hexadecimal digits with {' or '.join(types)}")
    return path


def _check(study: Study, where: str) -> None:
    """Refuse a study whose parts do not fit together."""
    if len(study.cases_by_id) < len(study.cases):
        raise InputError(f"{where}: two cases have the same id")
    if len(study.items_by_id) < len(study.items):
        raise InputError(f"{where}: two items have the same id")
    for item in study.items:
        if item.case_id not in study.cases_by_id:
            raise InputError(f"{where}: item {item.item_id} is of case '{item.case_id}', which does not exist")
        if item.repeat_of is not None and item.repeat_of not in study.items_by_id:
            raise InputError(f"{where}: item {item.item_id} repeats {item.repeat_of}, which does not exist")
