"""Requests of one model for a benchmark: rewrite the items, put them into its form, write what its script reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from nava.config.rewriting import RewritingConfig
from nava.evaluation.benchmark.item import Item
from nava.evaluation.layouts.asked import REQUEST_FILE, Asked, NotTaken, RequestFile, items_sha256, write_request_file
from nava.evaluation.layouts.forms import RequestForm, request_form
from nava.evaluation.layouts.inputs import Placed, Ready
from nava.evaluation.layouts.layout import output_layout
from nava.evaluation.layouts.rewritten import Scene, rewrite_items
from nava.rewriting.batch import Line
from nava.rewriting.formats import FORMATS, format_item
from nava.rewriting.rewriter import Rewriter, make_rewriter
from nava.rewriting.rewritten_item import ReferenceVoice, RewrittenItem
from nava.rewriting.rules import RuleRewriter
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file, sha256_json
from nava.runtime.storage import atomic_folder

INPUTS = "inputs"


@dataclass(frozen=True)
class RequestSettings:
    """What is decided for all items.

    Attributes:
        seed: of the models' noise, where a script takes one.
        with_picture: whether models that take a first frame get it (TI2AV), or not (T2AV).
        with_voice: whether models that take a reference voice get it.
        portrait: picture of who speaks, for models that need one, where the item has none.
    """

    seed: int = 0
    with_picture: bool = True
    with_voice: bool = True
    portrait: Path | None = None


def write_model_requests(
    out: Path,
    task: str,
    items: Sequence[Item],
    model: str,
    config: RewritingConfig,
    settings: RequestSettings,
    on_line: Callable[[Line, str], None] = lambda line, outcome: None,
) -> RequestFile:
    """Write `inputs/` with the model's files and `requests.json`; killed, the same call goes on.

    Args:
        out: folder; `rewriting/` in it keeps the rewritten prompts.
        task: the benchmark, see `Task.column`.
        items: of it.
        model: a name of `nava.evaluation.layouts.forms.REQUEST_FORMS`.
        config: of the rewriter. A model that gets spoken words alone needs no scene: no endpoint is asked for it.
        settings: see there.
        on_line: told what became of each item's rewriting.

    Raises:
        InputError: no such model, a file of an item that is not there, or no item that the model could be asked.
        RunStoppedError: the rewriter cannot go on.
    """
    form = request_form(model)
    if settings.portrait is not None and not settings.portrait.is_file():
        raise InputError(f"--portrait: there is no file {settings.portrait}")
    rewriter = _rewriter(form, config)
    scenes = rewrite_items(
        items,
        rewriter,
        out / "rewriting",
        with_picture=settings.with_picture,
        in_flight=config.max_in_flight,
        on_line=on_line,
    )
    ready, not_taken = _sorted(items, scenes, form, settings)
    if not ready:
        first = not_taken[0].reason if not_taken else "there is none"
        raise InputError(f"{model} can be asked for no item of {task}: {first}")
    with atomic_folder(out / INPUTS) as folder:
        placed = form.write(folder, ready, settings.seed)
        by_id = {one.item_id: one for one in ready}
        requests = RequestFile(
            model=model,
            format=form.format,
            task=task,
            items_sha256=items_sha256(items),
            rewriter=str(rewriter.maker),
            seed=settings.seed,
            doubts=_doubts(form),
            asked=tuple(_asked(by_id[place.item_id], place, scenes[place.item_id]) for place in placed),
            not_taken=tuple(not_taken),
        )
        write_request_file(folder / REQUEST_FILE, requests)
    return requests


def _rewriter(form: RequestForm, config: RewritingConfig) -> Rewriter:
    takes_scene = FORMATS[form.format].takes & {"visual", "sound"}
    return make_rewriter(config) if takes_scene else RuleRewriter()


def _doubts(form: RequestForm) -> tuple[str, ...]:
    return tuple(
        doubt for doubt in (FORMATS[form.format].doubts, form.doubts, output_layout(form.model).doubts) if doubt
    )


def _sorted(
    items: Sequence[Item], scenes: dict[str, Scene], form: RequestForm, settings: RequestSettings
) -> tuple[list[Ready], list[NotTaken]]:
    """Items that the model can be asked for, and the others with the reason."""
    ready, not_taken = [], []
    for item in items:
        try:
            one = _ready(item, scenes[item.item_id], form, settings)
        except InputError as error:
            not_taken.append(NotTaken(item.item_id, str(error).removeprefix(f"item {item.item_id}: ")))
            continue
        if reason := form.refuse(one):
            not_taken.append(NotTaken(item.item_id, reason))
        else:
            ready.append(one)
    return ready, not_taken


def _ready(item: Item, scene: Scene, form: RequestForm, settings: RequestSettings) -> Ready:
    """One item in the model's format. InputError: why it cannot be put there."""
    if scene.prompt is None:
        raise InputError(f"its prompt could not be rewritten: {scene.problem}")
    takes = FORMATS[form.format].takes
    picture = _file(item.first_frame, item) if settings.with_picture and "first_frame" in takes else None
    if form.model == "dreamid-omni":
        # It begins with no picture, but wants to see who speaks.
        picture = _file(item.first_frame or settings.portrait, item)
    voice = _file(item.reference_voice, item) if settings.with_voice and "voices" in takes else None
    rewritten = RewrittenItem(
        item.item_id,
        scene.prompt,
        item.language,
        (ReferenceVoice(str(voice), item.reference_text),) if voice else (),
        str(picture or ""),
    )
    return Ready(item, rewritten, format_item(rewritten, form.format), picture, voice)


def _file(path: Path | None, item: Item) -> Path | None:
    if path is not None and not path.is_file():
        raise InputError(f"its file {path} is not there")
    return None if path is None else path.resolve()


def _asked(one: Ready, place: Placed, scene: Scene) -> Asked:
    """The record of what the model gets."""
    paths = {str(path) for path in (one.picture, one.voice) if path}

    def content(value: Any) -> Any:
        if isinstance(value, list):
            return [content(part) for part in value]
        return _content(value) if value in paths else value

    given = [part for value in place.inputs.values() for part in (value if isinstance(value, list) else [value])]
    left_out = list(one.given.left_out)
    for name, has, path in (
        ("first_frame", one.item.first_frame, one.picture),
        ("voices", one.item.reference_voice, one.voice),
    ):
        if has and name not in left_out and str(path) not in given:
            left_out.append(name)
    return Asked(
        item_id=place.item_id,
        stem=place.stem,
        expected=place.expected,
        batch=place.batch,
        index=place.index,
        inputs=place.inputs,
        left_out=tuple(left_out),
        made_by=scene.made_by,
        fell_back=scene.fell_back,
        sha256=sha256_json({name: content(value) for name, value in place.inputs.items()}),
    )


@cache
def _content(path: str) -> str:
    """A file by its content. Voices and portraits stand for many items."""
    return f"sha256:{sha256_file(Path(path))}"
