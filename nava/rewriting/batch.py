"""Many prompts: a JSONL file in, a JSONL file out, nothing asked twice, each failure told by its line.

A line that comes out is the line that went in with ``prompt`` replaced and two fields more: ``plain_prompt``, and
``rewriting`` with who made it and how. `nava generate --requests` takes such lines. Each is written as soon as it is
known, so that a killed run goes on where it was; at the end the file is put into the order of the input.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nava.rewriting.request import RewriteRequest
from nava.rewriting.result import RewriteResult
from nava.rewriting.rewriter import Rewriter
from nava.runtime.errors import InputError, NavaError, RunStoppedError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import write_text

KEY, RECORD, PLAIN = "key", "rewriting", "plain_prompt"


@dataclass(frozen=True)
class Line:
    """One line of the input.

    Attributes:
        number: counted from 1.
        value: the object as it was read.
        request: what is asked; None for a line that cannot be read.
        problem: why it cannot be read.
        key: hash of the line and of who is asked.
    """

    number: int
    value: dict[str, Any]
    request: RewriteRequest | None
    problem: str = ""
    key: str = ""


@dataclass
class BatchResult:
    """What became of a batch.

    Attributes:
        written: lines rewritten now; kept: lines found in the output; by number.
        fell_back: those of both that another rewriter than the one asked made.
        failed: the reason by number.
        outdated: lines of the output that belong to no line of the input any more, and are gone.
    """

    written: list[int] = field(default_factory=list)
    kept: list[int] = field(default_factory=list)
    fell_back: list[int] = field(default_factory=list)
    failed: dict[int, str] = field(default_factory=dict)
    outdated: int = 0


def read_lines(path: Path, rewriter: Rewriter, task: str, *, quotes_are_speech: bool = False) -> list[Line]:
    """The lines of a JSONL file; those that cannot be read say why.

    Args:
        path: the file, UTF-8.
        rewriter: that they are for; what another one made is not taken for this one's.
        task: of lines that name none.
        quotes_are_speech: see `RewriteRequest`.

    Raises:
        InputError: there is no such file, it is not UTF-8 text, or it has no line.
    """
    lines = [
        _line(number, text, rewriter, task, quotes_are_speech) for number, text in enumerate(_texts(path), 1) if text
    ]
    if not lines:
        raise InputError(f"{path} has no line; write one JSON object per line, with the field prompt")
    return lines


def rewrite_batch(
    lines: Sequence[Line],
    rewriter: Rewriter,
    output: Path,
    *,
    in_flight: int = 1,
    again: bool = False,
    on_line: Callable[[Line, str], None],
) -> BatchResult:
    """Rewrite what the output does not have yet.

    Args:
        lines: of ``read_lines``.
        rewriter: asked for each line once, lines that are equal together.
        output: JSONL file, made or gone on with.
        in_flight: lines that are rewritten at the same time.
        again: whether lines of the output that another rewriter stepped in for are asked for again.
        on_line: told what became of each line, in words.

    Raises:
        InputError: the output cannot be written, or holds lines that no rewriter wrote: it is not touched.
        RunStoppedError: no further line can succeed; what is done is kept.
    """
    _make_room(output)
    found = _read_output(output)
    done = {key: value for key, value in found.items() if not (again and value[RECORD]["fell_back_from"])}
    result = BatchResult()
    missing: dict[str, list[Line]] = {}
    for line in lines:
        if line.request is None:
            result.failed[line.number] = line.problem
            on_line(line, f"failed: {line.problem}")
        elif line.key in done:
            result.kept.append(line.number)
        else:
            missing.setdefault(line.key, []).append(line)
    for same, outcome in _outcomes(list(missing.values()), rewriter, in_flight):
        if isinstance(outcome, NavaError):
            told = f"failed: {_one_line(outcome)}"
            result.failed |= {line.number: _one_line(outcome) for line in same}
        else:
            told = _told(outcome)
            done[same[0].key] = _append(output, same[0], outcome)
            result.written += [line.number for line in same]
        for line in same:
            on_line(line, told)
    # A line that was to be asked for again and failed keeps what it had.
    _finish(lines, found | done, output, result)
    return result


def _outcomes(
    groups: Sequence[list[Line]], rewriter: Rewriter, in_flight: int
) -> Iterator[tuple[list[Line], RewriteResult | NavaError]]:
    """What became of each group of equal lines, as it is known. A stop lets those in flight end, and no other begin."""
    stops: list[RunStoppedError] = []

    def attempt(line: Line) -> RewriteResult | NavaError:
        assert line.request is not None
        try:
            if stops:
                raise stops[0]
            return rewriter.rewrite(line.request)
        except RunStoppedError as error:
            stops.append(error)
            raise
        except NavaError as error:
            return error

    with ThreadPoolExecutor(in_flight) as pool:
        futures: dict[Future[RewriteResult | NavaError], list[Line]] = {
            pool.submit(attempt, group[0]): group for group in groups
        }
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _finish(lines: Sequence[Line], done: dict[str, dict[str, Any]], output: Path, result: BatchResult) -> None:
    """The output in the order of the input, and the counts that follow from it."""
    keys = [line.key for line in lines if line.key in done]
    result.outdated = len(done.keys() - set(keys))
    result.fell_back = [line.number for line in lines if line.key in done and done[line.key][RECORD]["fell_back_from"]]
    result.written.sort()
    if keys or output.exists():
        _write(output, [done[key] for key in keys])


def _texts(path: Path) -> list[str]:
    try:
        # Not splitlines(), which also breaks at characters that JSON allows within a text.
        return [text.strip() for text in path.read_text(encoding="utf-8").split("\n")]
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read: it is not UTF-8 text") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def _line(number: int, text: str, rewriter: Rewriter, task: str, quotes_are_speech: bool) -> Line:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Line(number, {}, None, f"not JSON: {_one_line(error)}")
    try:
        request = RewriteRequest.from_json(value, task, quotes_are_speech=quotes_are_speech)
        key = sha256_json({"line": value, "request": request.to_json(), "maker": rewriter.maker.to_json()})
    except (InputError, ValueError, RecursionError) as error:
        return Line(number, {}, None, _one_line(error))
    return Line(number, value, request, key=key)


def _make_room(output: Path) -> None:
    """Make the output's folder, or say now that nothing can be written there, and not after answers are paid for."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{output}: its folder cannot be made: {error.strerror or error}") from error
    if not os.access(output if output.exists() else output.parent, os.W_OK):
        raise InputError(f"{output} cannot be written")


def _read_output(output: Path) -> dict[str, dict[str, Any]]:
    """The finished lines by key; of several with one key the last. A line that a kill cut short is taken out."""
    if not output.exists():
        return {}
    found: dict[str, dict[str, Any]] = {}
    texts = _texts(output)
    for number, text in enumerate(texts, 1):
        if not text:
            continue
        try:
            value = json.loads(text)
            record = value[RECORD]
            found[record[KEY]] = value
            record["fell_back_from"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            cut = number == len(texts) and text.startswith("{") and isinstance(error, ValueError)
            if not cut:
                raise InputError(
                    f"{output}, line {number}: not written by `nava rewrite`; the file is left as it is: "
                    "name another one"
                ) from error
    if texts[-1]:
        # Every whole line ends with a line break. Without it the next line would be written behind this one.
        _write(output, found.values())
    return found


def _append(output: Path, line: Line, result: RewriteResult) -> dict[str, Any]:
    """Write one finished line so that it survives a kill, and return it."""
    assert line.request is not None
    record = {KEY: line.key, **result.to_json()}
    value = {**line.value, "prompt": result.text, PLAIN: line.request.prompt, RECORD: record}
    with output.open("ab") as file:
        file.write(_text(value).encode())
        file.flush()
        os.fsync(file.fileno())
    return value


def _write(output: Path, values: Iterable[dict[str, Any]]) -> None:
    write_text(output, "".join(_text(value) for value in values))


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n"


def _told(result: RewriteResult) -> str:
    how = f"written by {result.made_by}"
    if result.fell_back_from is not None:
        how += f" instead of {result.fell_back_from}"
    return f"{how}{': ' if result.problems else ''}{'; '.join(result.problems)}"


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.encode(errors="backslashreplace").decode()
