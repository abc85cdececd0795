"""Batches: requests from a JSONL file in the released format, finished work skipped, each failure told by its line.

A line is an object with `prompt` (or `text`): text, or an object with the parts of a structured prompt. It may have
`image_path` and `spk_wavs`, a list: the i-th voice for the i-th span of speech, or `name=file`. Beyond the released
format it may have `id` (name of the output file), `seed`, `seconds` and `task`. Paths are relative to the JSONL file's
folder, or to the current one where nothing lies there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nava.conditioning.prompt import prompt_text
from nava.generation.output import SOUND_SUFFIX, VIDEO_SUFFIX, check_overwriting, is_finished, write_output
from nava.generation.pipeline import Generator, OnStep
from nava.generation.plan import Plan
from nava.generation.request import Request, RequestError, file_exists, parse_task, parse_voice
from nava.runtime.errors import InputError, NavaError

FIELDS = ("prompt", "text", "image_path", "spk_wavs", "id", "seed", "seconds", "task")
# A name of a file and of nothing else: no separators, no leading dot or dash.
_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class BatchLine:
    """One line of a batch.

    Attributes:
        number: counted from 1.
        name: of the output file, without its suffix.
        request: what is wanted; None for a line that cannot be read.
        problem: why it cannot be read.
        ignored: fields of it that mean nothing here.
    """

    number: int
    name: str
    request: Request | None
    problem: str = ""
    ignored: tuple[str, ...] = ()


@dataclass
class BatchResult:
    """What became of a batch, by line number.

    Attributes:
        written: files made now.
        skipped: files found finished.
        refused: lines that ask for something that cannot be, with the reason.
        failed: lines that were right but whose generation failed, with the reason.
    """

    written: dict[int, Path] = field(default_factory=dict)
    skipped: dict[int, Path] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)
    failed: dict[int, str] = field(default_factory=dict)


def read_batch(path: Path, defaults: Request) -> list[BatchLine]:
    """Read a JSONL file; lines that cannot be read say why instead of ending the batch.

    Args:
        path: the file.
        defaults: what lines take where they say nothing; its prompt does not count.

    Raises:
        InputError: there is no such file, it is not UTF-8 text, or it has no line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"requests: {path} cannot be read: it is not UTF-8 text") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"requests: {path} cannot be read: {reason}") from error
    # Not splitlines(), which also breaks at characters that JSON allows within a text.
    rows = [(number, row) for number, row in enumerate(text.split("\n"), start=1) if row.strip()]
    if not rows:
        raise InputError(f"requests: {path} has no line; write one JSON object per line, with the field prompt")
    lines: list[BatchLine] = []
    for number, row in rows:
        line = _read_line(number, row, path.parent, defaults)
        if any(line.name == other.name for other in lines):
            line = replace(line, request=None, problem=f"id: '{line.name}' names the output of an earlier line as well")
        lines.append(line)
    return lines


def run_batch(
    lines: Sequence[BatchLine],
    generator: Generator,
    folder: Path,
    *,
    on_line: Callable[[BatchLine, str], None],
    on_step: OnStep | None = None,
) -> BatchResult:
    """Generate what is missing in `folder`. Every line is checked, its files included, before the first is generated.

    A clip counts as finished when its sidecar, written last, is of the same request and package, and the media file is
    the one that the sidecar describes. Clips are generated one at a time, so that a clip's bytes do not depend on what
    was skipped.

    Args:
        lines: of `read_batch`.
        generator: makes the clips.
        folder: where `<name>.mp4` (`.wav` for sound alone) and `<name>.mp4.json` go.
        on_line: told each line's outcome as soon as it is known, in words.
        on_step: told of each sampling step.
    """
    result = BatchResult()
    for line, plan, path in _checked(lines, generator, folder, result, on_line):
        try:
            (clip,) = generator.fulfil([plan], on_step=on_step)
            write_output(clip, path, generator)
        except InputError as error:
            result.refused[line.number] = _one_line(error)
            on_line(line, f"refused: {_one_line(error)}")
            continue
        except (NavaError, OSError, RuntimeError, ValueError) as error:
            result.failed[line.number] = _one_line(error)
            on_line(line, f"failed: {_one_line(error)}")
            continue
        result.written[line.number] = path
        on_line(line, f"written: {path}")
    return result


def _checked(
    lines: Sequence[BatchLine],
    generator: Generator,
    folder: Path,
    result: BatchResult,
    on_line: Callable[[BatchLine, str], None],
) -> list[tuple[BatchLine, Plan, Path]]:
    """What is left to do. Lines that are refused, and those that are finished, go into the result."""
    missing = []
    for line in lines:
        problem = line.problem
        if line.request is not None:
            try:
                plan = generator.plan(line.request)
                path = folder / f"{line.name}{VIDEO_SUFFIX if plan.task.has_video else SOUND_SUFFIX}"
                finished = is_finished(path, plan, generator)
                if not finished:
                    check_overwriting(path, line.request)
            # What of files and texts no check has foreseen ends this line and not the batch.
            except (InputError, OSError, ValueError) as error:
                problem = _one_line(error)
            else:
                if plan.dropped_words:
                    on_line(line, f"note: {_dropped_note(plan.dropped_words)}")
                if finished:
                    result.skipped[line.number] = path
                    on_line(line, f"finished already: {path}")
                else:
                    missing.append((line, plan, path))
        if problem:
            result.refused[line.number] = problem
            on_line(line, f"refused: {problem}")
        if line.ignored:
            on_line(line, f"ignored: {_printable(', '.join(line.ignored))}")
    return missing


def _read_line(number: int, row: str, folder: Path, defaults: Request) -> BatchLine:
    name = f"{number:04d}"
    try:
        value = json.loads(row)
    except (ValueError, RecursionError) as error:
        return BatchLine(number, name, None, f"not JSON: {_one_line(error)}")
    if not isinstance(value, dict):
        return BatchLine(number, name, None, f"not a JSON object but {type(value).__name__}")
    ignored = tuple(sorted(set(value) - set(FIELDS)))
    try:
        name = _name(value.get("id"), name)
        return BatchLine(number, name, _request(value, folder, defaults), ignored=ignored)
    except (InputError, OSError, ValueError, ArithmeticError, RecursionError) as error:
        return BatchLine(number, name, None, _one_line(error), ignored)


def _name(value: Any, default: str) -> str:
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, str | int) or not _ID.fullmatch(str(value)):
        raise RequestError("id", f"{value!r} is no name for a file; use letters, digits, '.', '_' and '-'")
    return str(value)


def _request(value: dict[str, Any], folder: Path, defaults: Request) -> Request:
    prompt = value.get("prompt", value.get("text"))
    if not isinstance(prompt, str | dict):
        raise RequestError("prompt", "missing, or neither text nor an object")
    changes: dict[str, Any] = {"prompt": prompt if isinstance(prompt, str) else _rendered(prompt)}
    if image := _typed(value, "image_path", str):
        changes["image"] = _located(image, folder)
    if voices := _typed(value, "spk_wavs", list):
        if not all(isinstance(voice, str) and voice for voice in voices):
            raise RequestError("spk_wavs", "must be a list of files")
        changes["voices"] = tuple(parse_voice(voice, lambda file: _located(file, folder)) for voice in voices)
    if (seed := _typed(value, "seed", int)) is not None:
        changes["seed"] = seed
    if (seconds := _typed(value, "seconds", int, float)) is not None:
        changes |= {"seconds": float(seconds), "frames": None}
    if task := _typed(value, "task", str):
        changes["task"] = parse_task(task)
    return replace(defaults, **changes)


def _typed(value: dict[str, Any], name: str, *types: type) -> Any:
    """A field's value, None where it is absent or null."""
    found = value.get(name)
    if found is not None and (isinstance(found, bool) or not isinstance(found, types)):
        raise RequestError(name, f"{found!r} is not of type {' or '.join(kind.__name__ for kind in types)}")
    return found


def _rendered(prompt: dict[str, Any]) -> str:
    """The text of a structured prompt."""
    try:
        return prompt_text(prompt)
    except InputError as error:
        raise RequestError("prompt", str(error)) from error


def _located(file: str, folder: Path) -> Path:
    beside = folder / file
    return beside if file_exists(beside) else Path(file)


def _one_line(error: Exception) -> str:
    return _printable(" ".join(str(error).split())) or type(error).__name__


def _dropped_note(words: int) -> str:
    said = "word of the prompt does not fit and is" if words == 1 else f"{words} words of the prompt do not fit and are"
    return f"the last {said} ignored"


def _printable(text: str) -> str:
    """Text that any output takes: halves of characters, which JSON can hold, as their numbers."""
    return text.encode(errors="backslashreplace").decode()
