"""Drawing a study: which pairs are compared, and which clip stands on which side.

Everything follows from the seed, without a state: things are put in order by the hash of the seed and their names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from nava.evaluation.study.blind_media import checked_source, place_image, place_video
from nava.evaluation.study.ordering import HashOrder
from nava.evaluation.study.study_file import (
    ATTENTION,
    BROKEN,
    CRITERIA,
    IMAGE_TYPES,
    LEFT,
    MEDIA_DIR,
    REPEAT,
    RIGHT,
    TASKS,
    VIDEO_TYPES,
    VOTE,
    VOTES_FILE,
    Case,
    Item,
    Study,
    read_study,
    write_study,
)
from nava.runtime.errors import InputError
from nava.runtime.storage import atomic_folder

_NAME_DIGITS = 16


@dataclass(frozen=True)
class StudyCase:
    """A prompt that every model was given; `image` is the given first frame of TI2AV."""

    case_id: str
    task: str
    prompt: str
    image: Path | None = None


@dataclass(frozen=True)
class AttentionCheck:
    """A clip of a model against a copy of it that is clearly broken: another case's media, or without sound."""

    case_id: str
    model: str
    broken: Path


def make_study(
    folder: Path,
    study_id: str,
    outputs: Mapping[str, Mapping[str, Path]],
    cases: Sequence[StudyCase],
    *,
    seed: int,
    attention_checks: Sequence[AttentionCheck] = (),
    repeats: int = 0,
) -> Study:
    """Draw a study and write its folder, whole or not at all.

    Each pair of models meets on every case. Of the items of a pair and a task, each model stands left in half, one more
    or less. Length and size of the clips are left as they are: they may tell models apart, names and tags do not.

    Args:
        folder: to make; it must not exist, for a study with votes must not be replaced.
        study_id: its name, which raters see; no model may be in it. Prompts are shown as they are.
        outputs: by model and case id, the media file; every model needs one for every case.
        cases: with different ids.
        seed: of sides, names and orders. Who knows it can compute which side is whose: do not tell raters.
        attention_checks: items that show whether a rater looks and listens.
        repeats: how many items each rater meets twice, the second time with sides swapped.

    Raises:
        InputError: what is asked for does not fit together, or a file is missing or no video.
    """
    if folder.exists() or folder.is_symlink():
        raise InputError(f"{folder} exists already: a study is never replaced; give another name, or remove it")
    sources = _Sources(seed)
    study = _draw(study_id, outputs, cases, sources, attention_checks, repeats)
    with atomic_folder(folder) as part:
        for relative, source in sources.by_path.items():
            place = place_image if source.suffix.lower() in IMAGE_TYPES else place_video
            place(source, part / relative)
        # Made here, so that no vote depends on a new entry of the folder having reached the disk.
        (part / VOTES_FILE).touch()
        write_study(part, study)
    return read_study(folder)


class _Sources:
    """The files of a study to be, by their new names."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.by_path: dict[str, Path] = {}
        self._order = HashOrder(str(seed))

    def add(self, source: Path, types: Mapping[str, str], what: str, *name: str) -> str:
        """The path within the study that a file will have."""
        suffix = checked_source(source, types, what)
        path = f"{MEDIA_DIR}/{self._order.digest('media', *name)[:_NAME_DIGITS]}{suffix}"
        self.by_path[path] = source
        return path


def _draw(
    study_id: str,
    outputs: Mapping[str, Mapping[str, Path]],
    cases: Sequence[StudyCase],
    sources: _Sources,
    attention_checks: Sequence[AttentionCheck],
    repeats: int,
) -> Study:
    """The study, and in `sources` the files that it needs."""
    seed = sources.seed
    _check_names(study_id, outputs, cases, seed)
    made = tuple(_case(case, outputs, sources) for case in cases)
    votes = _draw_votes(tuple(outputs), made, seed)
    if not 0 <= repeats <= len(votes):
        raise InputError(f"{repeats} repeats are asked for; there are {len(votes)} items that can be repeated")
    items = (*votes, *_draw_repeats(votes, repeats, seed), *_draw_checks(attention_checks, made, sources))
    return Study(study_id, seed, tuple(outputs), CRITERIA, made, items)


def _check_names(study_id: str, outputs: Mapping[str, object], cases: Sequence[StudyCase], seed: int) -> None:
    if not study_id.strip():
        raise InputError("a study needs a name")
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be a whole number from 0")
    if len(outputs) < 2:
        raise InputError(f"a study compares models: at least two are needed, got {len(outputs)}")
    if not cases:
        raise InputError("a study needs at least one case")
    for model in outputs:
        if not model.strip() or model == BROKEN:
            raise InputError(f"a model needs a name, and not '{BROKEN}'")
        if re.search(rf"(?<![a-z0-9]){re.escape(model)}(?![a-z0-9])", study_id, re.IGNORECASE):
            raise InputError(f"the study's name '{study_id}' has the model '{model}' in it, and raters see it")
    seen: set[str] = set()
    for case in cases:
        if not case.case_id.strip() or case.case_id in seen:
            raise InputError(f"case id '{case.case_id}' is empty or given twice")
        seen.add(case.case_id)


def _case(case: StudyCase, outputs: Mapping[str, Mapping[str, Path]], sources: _Sources) -> Case:
    where = f"case '{case.case_id}'"
    if case.task not in TASKS:
        raise InputError(f"{where}: task is '{case.task}'; it must be {' or '.join(TASKS)}")
    if not case.prompt.strip():
        raise InputError(f"{where}: the prompt is empty")
    if (case.task == "TI2AV") != (case.image is not None):
        raise InputError(f"{where}: a first frame is needed for TI2AV, and for that only")
    image = sources.add(case.image, IMAGE_TYPES, where, "image", case.case_id) if case.image is not None else None
    media = {}
    for model, files in outputs.items():
        if case.case_id not in files:
            raise InputError(f"{where}: model '{model}' has no clip for it; every model needs one for every case")
        what = f"{where}, model '{model}'"
        media[model] = sources.add(files[case.case_id], VIDEO_TYPES, what, "clip", case.case_id, model)
    return Case(case.case_id, case.task, case.prompt, image, media)


def _draw_votes(models: Sequence[str], cases: Sequence[Case], seed: int) -> list[Item]:
    order = HashOrder(str(seed))
    items = []
    for pair in combinations(models, 2):
        for task in TASKS:
            of_task = order.shuffled([case for case in cases if case.task == task], f"sides {pair}", _case_id)
            # Which of the two is left once more where the count is odd is drawn too.
            first = int(order.digest("first", pair, task), 16) % 2
            for number, case in enumerate(of_task):
                left, right = pair if (number + first) % 2 == 0 else pair[::-1]
                item_id = order.digest(VOTE, case.case_id, *pair)[:_NAME_DIGITS]
                items.append(
                    Item(item_id, VOTE, case.case_id, left, right, case.media[left], case.media[right]),
                )
    return items


def _draw_repeats(votes: Sequence[Item], count: int, seed: int) -> list[Item]:
    order = HashOrder(str(seed))
    return [
        replace(
            item,
            item_id=order.digest(REPEAT, item.item_id)[:_NAME_DIGITS],
            kind=REPEAT,
            left_model=item.right_model,
            right_model=item.left_model,
            left_media=item.right_media,
            right_media=item.left_media,
            repeat_of=item.item_id,
        )
        for item in order.shuffled(votes, REPEAT, _item_id)[:count]
    ]


def _draw_checks(checks: Sequence[AttentionCheck], cases: Sequence[Case], sources: _Sources) -> Iterable[Item]:
    order = HashOrder(str(sources.seed))
    first = int(order.digest("first", ATTENTION), 16) % 2
    by_id = {case.case_id: case for case in cases}
    for number, check in enumerate(checks):
        where = f"attention check {number + 1}"
        if check.case_id not in by_id or check.model not in by_id[check.case_id].media:
            raise InputError(f"{where}: there is no case '{check.case_id}' with a clip of model '{check.model}'")
        good = by_id[check.case_id].media[check.model]
        if check.broken.exists() and check.broken.samefile(sources.by_path[good]):
            raise InputError(f"{where}: {check.broken} is the clip itself; give a copy that is clearly broken")
        bad = sources.add(check.broken, VIDEO_TYPES, where, ATTENTION, str(number))
        digest = order.digest(ATTENTION, number)
        intact = (LEFT, RIGHT)[(number + first) % 2]
        sides = ((check.model, good), (BROKEN, bad))
        (left, left_media), (right, right_media) = sides if intact == LEFT else sides[::-1]
        item_id = digest[:_NAME_DIGITS]
        yield Item(item_id, ATTENTION, check.case_id, left, right, left_media, right_media, intact=intact)


def _item_id(item: Item) -> str:
    return item.item_id


def _case_id(case: Case) -> str:
    return case.case_id
