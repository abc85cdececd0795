"""`nava eval requests --for MODEL` and `nava eval score --layout MODEL`: what others are asked, and what they made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nava.runtime.errors import EXIT_DONE, EXIT_FAILED, InputError

if TYPE_CHECKING:
    from nava.evaluation.benchmark.item import Item
    from nava.evaluation.benchmark.task import Task
    from nava.evaluation.layouts.asked import RequestFile
    from nava.rewriting.batch import Line

REWRITING_FAILED = "its prompt could not be rewritten"


def requests_for_model(task: Task, items: Sequence[Item], out: Path, given: dict[str, Any]) -> int:
    """Write a model's requests and tell what it will not be asked.

    Args:
        task: the benchmark.
        items: of it.
        out: folder to make or to go on with.
        given: the command's options by name.

    Returns:
        The exit code: 0, or 1 if a prompt could not be rewritten.
    """
    from nava.console.rewrite_command import rewriting_config
    from nava.evaluation.layouts.forms import request_form
    from nava.evaluation.layouts.requests import INPUTS, RequestSettings, write_model_requests

    if out.is_file():
        raise InputError(f"--out: {out} is a file; with --for give a folder")
    overrides = (*((f"rewriter={given['rewriter']}",) if given["rewriter"] else ()), *given["overrides"])
    config = rewriting_config(given["settings"], overrides)
    settings = RequestSettings(given["seed"], given["images"], given["voices"], given["portrait"])
    form = request_form(given["model"])

    def tell(line: Line, outcome: str) -> None:
        if outcome.startswith("failed") or " instead of " in outcome:
            click.echo(f"{line.value.get('id', f'line {line.number}')}: {outcome}", err=True)

    requests = write_model_requests(out, task.column, items, form.model, config, settings, tell)
    tell_requests(requests)
    place = out / INPUTS
    click.echo(f"{place}: {form.writes}, requests.json\nnext: {form.command.replace('{inputs}', str(place))}")
    click.echo(f"then: nava eval score --layout {form.model} --requests {place} --outputs OUTPUTS ...")
    return EXIT_FAILED if any(reason.startswith(REWRITING_FAILED) for reason in requests.reasons) else EXIT_DONE


def tell_requests(requests: RequestFile) -> None:
    """How many items a model was asked for, which not and why, and what is doubtful."""
    made_by = sum(entry.fell_back for entry in requests.asked)
    click.echo(f"{requests.model}: {len(requests.asked)} items asked, format {requests.format}, by {requests.rewriter}")
    if made_by:
        click.echo(f"note: {made_by} prompts are not by {requests.rewriter}, which gave no usable ones", err=True)
    for reason, count in requests.reasons.items():
        click.echo(f"not asked: {count} items: {reason}")
    left_out = sorted({name for entry in requests.asked for name in entry.left_out})
    if left_out:
        counts = {name: sum(name in entry.left_out for entry in requests.asked) for name in left_out}
        told = ", ".join(f"{name} of {count} items" for name, count in counts.items())
        click.echo(f"left out, for want of a place in the format: {told}")
    for doubt in requests.doubts:
        click.echo(f"unverified: {doubt}", err=True)


def requests_of(path: Path | None, layout: str, items: Sequence[Item]) -> RequestFile | None:
    """The request file that outputs go by; what it did not ask for is told.

    Raises:
        InputError: it is of another model or of other items, or there is no layout that needs one.
    """
    from nava.evaluation.layouts.asked import check_requests, read_request_file
    from nava.evaluation.layouts.layout import DEFAULT

    if path is None:
        return None
    if layout == DEFAULT:
        raise InputError("--requests belong to the --layout of a model; name it")
    requests = read_request_file(path)
    check_requests(requests, layout, items)
    for reason, count in requests.reasons.items():
        click.echo(f"note: {count} items were not asked of {requests.model}: {reason}", err=True)
    return requests
