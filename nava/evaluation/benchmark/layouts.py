"""Where benchmarks keep their items: the published layouts, read as they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nava.evaluation.benchmark.item import Item, Spoken
from nava.evaluation.benchmark.task import Task
from nava.runtime.errors import InputError

_PICTURES = (".jpg", ".jpeg", ".png")
_SEED_TTS_FIELDS = (2, 3, 4, 5)


def load_items(task: Task, folder: Path) -> list[Item]:
    """The items of a task, sorted by id.

    Raises:
        InputError: the folder has not the layout of the task, or a record is wrong; file, record and field are named.
    """
    if task.layout not in LAYOUTS:
        raise InputError(f"task {task.task_id}: there is no layout {task.layout!r}; there are {', '.join(LAYOUTS)}")
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; give the benchmark's data with --data")
    items = sorted(LAYOUTS[task.layout](task, folder), key=lambda item: item.item_id)
    if not items:
        raise InputError(f"{folder} holds no item of {task.task_id}; its layout is described in docs/evaluation.md")
    twice = {item.item_id for item in items if sum(other.item_id == item.item_id for other in items) > 1}
    if twice:
        raise InputError(f"{folder}: items are there twice: {', '.join(sorted(twice)[:5])}")
    return items


def verse_bench_items(task: Task, folder: Path) -> list[Item]:
    """Verse-Bench: folders set1, set2, set3 with ID.json, ID.jpg and, but for set1, ID.wav beside each other."""
    items = []
    for subset in task.subsets:
        for path in sorted((folder / subset).glob("*.json")):
            items.append(_verse_bench_item(path, subset))
    return items


def _verse_bench_item(path: Path, subset: str) -> Item:
    where = f"{path.parent.name}/{path.name}"
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{where} is not JSON: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("video_prompt"), str):
        raise InputError(f"{where}: field video_prompt must be text")
    heard = value.get("audio_prompt") or []
    heard = [heard] if isinstance(heard, str) else heard
    if not isinstance(heard, list) or not all(isinstance(text, str) for text in heard):
        raise InputError(f"{where}: field audio_prompt must be a list of texts")
    pictures = [path.with_suffix(suffix) for suffix in _PICTURES if path.with_suffix(suffix).is_file()]
    recording = path.with_suffix(".wav")
    speech = _verse_bench_speech(value.get("speech_prompt"), where)
    return Item(
        item_id=f"{subset}-{path.stem}",
        subset=subset,
        prompt=value["video_prompt"],
        language=_language(" ".join(part.text for part in speech)),
        speech=speech,
        # One to three texts; the publisher's scorers use the first.
        audio_prompt=heard[0] if heard else "",
        first_frame=pictures[0] if pictures else None,
        reference_audio=recording if recording.is_file() else None,
    )


def _verse_bench_speech(value: Any, where: str) -> tuple[Spoken, ...]:
    parts = value if isinstance(value, list) else [value] if value else []
    found = []
    for part in parts:
        if not isinstance(part, dict) or not isinstance(part.get("text", ""), str):
            raise InputError(f"{where}: field speech_prompt must have speaker and text")
        if text := part.get("text", "").strip():
            found.append(Spoken(text, str(part.get("speaker") or "")))
    return tuple(found)


def seed_tts_items(task: Task, folder: Path) -> list[Item]:
    """Seed-TTS-eval: `meta.lst` (or `hardcase.lst`) of lines utt|prompt_text|prompt_wav|text[|true_wav] and shorter."""
    (subset,) = task.subsets
    names = ("hardcase.lst", "meta.lst") if subset == "hardcase" else ("meta.lst",)
    places = [place / name for name in names for place in (folder, folder / subset)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise InputError(f"{folder} has no {' or '.join(names)}, itself or in {subset}/")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [
        _seed_tts_item(line, f"{path.name} line {number}", path.parent, subset)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _seed_tts_item(line: str, where: str, folder: Path, subset: str) -> Item:
    parts = line.strip().split("|")
    if len(parts) not in _SEED_TTS_FIELDS:
        raise InputError(f"{where}: {len(parts)} fields between |; there are 2 (utt|text) to 5")
    name = parts[0].removesuffix(".wav")
    if not name or "/" in name or name in (".", ".."):
        raise InputError(f"{where}: utterance {parts[0]!r} is no file name")
    text = parts[1] if len(parts) in (2, 3) else parts[3]
    voice = {2: "", 3: parts[-1]}.get(len(parts), parts[2] if len(parts) > 2 else "")
    if voice and (Path(voice).is_absolute() or ".." in Path(voice).parts):
        raise InputError(f"{where}: prompt_wav {voice!r} must lie beside the list")
    true = parts[4] if len(parts) == 5 else ""
    if true and (Path(true).is_absolute() or ".." in Path(true).parts):
        raise InputError(f"{where}: the true recording {true!r} must lie beside the list")
    return Item(
        item_id=name,
        subset=subset,
        prompt=text,
        language="en" if subset == "en" else "zh",
        speech=(Spoken(text),),
        reference_voice=folder / voice if voice else None,
        reference_text=parts[1].strip() if len(parts) > 3 else "",
        reference_audio=folder / true if true else None,
    )


def builtin_items(task: Task, folder: Path) -> list[Item]:
    """The built-in benchmark, which is made in the folder if it is not there."""
    from nava.evaluation.benchmark.builtin import make_builtin

    return list(make_builtin(folder, per_kind=max(subset.items for subset in task.subsets.values())).items)


def _language(text: str) -> str:
    """``zh`` if there is a Chinese character."""
    return "zh" if any("\u4e00" <= character <= "\u9fff" for character in text) else "en"


Layout = Callable[[Task, Path], Sequence[Item]]
LAYOUTS: dict[str, Layout] = {
    "verse_bench": verse_bench_items,
    "seed_tts": seed_tts_items,
    "builtin": builtin_items,
}
