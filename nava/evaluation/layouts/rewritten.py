"""A benchmark's items after rewriting: the same scene for every model, before each gets it in its own form."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nava.conditioning.prompt import StructuredPrompt, parse_prompt
from nava.evaluation.benchmark.item import Item
from nava.rewriting.batch import RECORD, Line, read_lines, rewrite_batch
from nava.rewriting.request import DEFAULT_TASK
from nava.rewriting.rewriter import Rewriter
from nava.runtime.storage import write_text

PLAIN_FILE, REWRITTEN_FILE = "plain.jsonl", "rewritten.jsonl"


@dataclass(frozen=True)
class Scene:
    """One item's prompt.

    Attributes:
        prompt: as the rewriter gave it; None if it could not.
        made_by: who wrote it.
        fell_back: whether that is another rewriter than the one that was asked.
        problem: why there is no prompt.
    """

    prompt: StructuredPrompt | None
    made_by: str = ""
    fell_back: bool = False
    problem: str = ""


def plain_line(item: Item, *, with_picture: bool) -> dict[str, Any]:
    """What is to be rewritten, as `nava rewrite --in` reads it.

    A benchmark of speech has the words themselves as its prompt (Seed-TTS): these are no scene, and stay out of it.
    """
    speech_alone = item.prompt.strip() == item.spoken_text
    task = "T2A" if speech_alone else "TI2AV" if with_picture and item.first_frame else "T2AV"
    return {
        "id": item.item_id,
        "prompt": "" if speech_alone else item.prompt,
        "audio_prompt": item.audio_prompt,
        "speech": [{"words": part.text, "speaker": part.speaker} for part in item.speech],
        "task": task,
    }


def rewrite_items(
    items: Sequence[Item],
    rewriter: Rewriter,
    folder: Path,
    *,
    with_picture: bool = True,
    in_flight: int = 1,
    on_line: Callable[[Line, str], None] = lambda line, outcome: None,
) -> dict[str, Scene]:
    """Each item's scene by its id; killed, the same call goes on with what is in the folder.

    Args:
        items: of the benchmark.
        rewriter: see `nava.rewriting.rewriter.make_rewriter`.
        folder: for `plain.jsonl` and `rewritten.jsonl`, of which nothing is asked again.
        with_picture: whether items with a first frame are rewritten as tasks with a picture.
        in_flight: items that are rewritten at the same time.
        on_line: told what became of each.

    Raises:
        InputError: the folder cannot be written, or holds something else.
        RunStoppedError: no further item can succeed; what is done is kept.
    """
    plain, rewritten = folder / PLAIN_FILE, folder / REWRITTEN_FILE
    write_text(plain, "".join(_text(plain_line(item, with_picture=with_picture)) for item in items))
    lines = read_lines(plain, rewriter, DEFAULT_TASK)
    result = rewrite_batch(lines, rewriter, rewritten, in_flight=in_flight, on_line=on_line)
    scenes = {items[number - 1].item_id: Scene(None, problem=reason) for number, reason in result.failed.items()}
    for text in rewritten.read_text(encoding="utf-8").split("\n") if rewritten.is_file() else ():
        if text:
            value = json.loads(text)
            scenes.setdefault(value["id"], _scene(value))
    return scenes


def _scene(value: dict[str, Any]) -> Scene:
    made_by = value[RECORD]["made_by"]
    name = ":".join(part for part in (made_by["name"], made_by["model"]) if part)
    return Scene(
        parse_prompt(value["prompt"]), f"{name} {made_by['version']}", value[RECORD]["fell_back_from"] is not None
    )


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"
