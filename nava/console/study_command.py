"""`nava study`: a blind pairwise user study, from its drawing to the page of its result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nava.console.output_paths import require_new, require_writable
from nava.runtime.errors import InputError

if TYPE_CHECKING:
    from nava.evaluation.study.plan import StudyCase

_PATH = click.Path(path_type=Path)
_FOLDER = click.Path(path_type=Path, file_okay=False)
_DEFAULT_PORT = 8766
REPORT_PAGE, REPORT_SUMMARY = "result.html", "result.json"


@click.group("study")
def study() -> None:
    """Blind pairwise user studies (GSB): make one, let raters answer, see what they prefer."""


@study.command("make")
@click.argument("folder", type=_PATH)
@click.option("--id", "study_id", required=True, help="Its name; raters see it.")
@click.option(
    "--cases",
    "cases_file",
    required=True,
    type=_PATH,
    help="JSON lines: case_id, task (T2AV or TI2AV), prompt, and image (a path from this file) for TI2AV.",
)
@click.option(
    "--model",
    "models",
    required=True,
    multiple=True,
    metavar="NAME=FOLDER",
    help="A model, and the folder with its clips, named CASE_ID.mp4 or .webm. Give it once for each, yours first.",
)
@click.option(
    "--check",
    "checks",
    multiple=True,
    metavar="CASE_ID=FILE",
    help="Attention check: a clearly broken copy of the first model's clip of this case.",
)
@click.option("--repeats", default=0, show_default=True, type=click.IntRange(0), help="Items shown twice, swapped.")
@click.option(
    "--seed",
    required=True,
    type=click.IntRange(0, 2**63 - 1),
    help="Draws sides and orders. Keep it from raters: who knows it can work out the sides.",
)
def make_command(
    folder: Path,
    study_id: str,
    cases_file: Path,
    models: Sequence[str],
    checks: Sequence[str],
    repeats: int,
    seed: int,
) -> None:
    """Draw a study into a new FOLDER: every pair of models on every case, under names that tell raters nothing.

    Exit codes: 0 done, 2 wrong input.
    """
    from nava.evaluation.study.plan import AttentionCheck, make_study

    require_new(folder)
    cases = _read_cases(cases_file)
    folders = _named("--model", models)
    outputs = {name: _clips(name, Path(path), cases) for name, path in folders.items()}
    first = next(iter(folders))
    broken = [AttentionCheck(case_id, first, Path(path)) for case_id, path in _pairs("--check", checks)]
    made = make_study(folder, study_id, outputs, cases, seed=seed, attention_checks=broken, repeats=repeats)
    click.echo(
        f"{folder}: {len(made.items)} items for each rater: {len(made.items) - len(broken) - repeats} pairs of "
        f"{len(made.models)} models on {len(made.cases)} cases, {repeats} repeats, {len(broken)} attention checks"
    )
    click.echo(f"next: nava study serve {folder}")


@study.command("serve")
@click.argument("folder", type=_FOLDER)
@click.option(
    "--port", default=_DEFAULT_PORT, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen on; others than this machine's own let everybody there see the clips.",
)
@click.option("--raters", "raters_file", type=_PATH, help="Names or codes, one a line: nobody else may answer.")
def serve_command(folder: Path, port: int, host: str, raters_file: Path | None) -> None:
    """Let raters answer the study in FOLDER with their browsers. Ctrl-C ends it; it may go on at any time.

    A link ending in ?rater=CODE begins at once. Exit codes: 0 ended, 2 no such study, or the address is taken.
    """
    from nava.console.study_server import StudyServer

    raters = _read_raters(raters_file) if raters_file is not None else ()
    with StudyServer(folder, host, port, raters) as server:
        click.echo(f"{server.url}: the study in {folder}; Ctrl-C ends it, nava study report {folder} shows the result")
        if not server.loopback:
            click.echo(f"everybody who reaches {host} can see the clips, and answer under any name", err=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            click.echo("ended; every answer is kept")


@study.command("import")
@click.argument("source", metavar="FILE", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="The new file of votes.")
@click.option("--id", "study_id", required=True, help="A name for the study.")
@click.option("--criterion", help="What was asked, if you know it: the file does not say.")
@click.option("--task", help="T2AV or TI2AV, if you know it: the file does not say.")
def import_command(source: Path, output: Path, study_id: str, criterion: str | None, task: str | None) -> None:
    """Take over votes in the format of NAVA's own study: user_id, left_model, right_model, choice, ours_side, case_id.

    A malformed line refuses the file. Exit codes: 0 done, 2 wrong input.
    """
    from nava.evaluation.study.foreign_votes import NOT_STATED, read_nava_votes
    from nava.evaluation.study.votes import write_votes

    require_new(output)
    votes = read_nava_votes(source, study_id, criterion=criterion or NOT_STATED, task=task or NOT_STATED)
    write_votes(output, votes)
    click.echo(f"{output}: {len(votes)} votes of {len({vote.rater for vote in votes})} raters")
    click.echo(f"next: nava study report {output} -o DIR")


@study.command("report")
@click.argument("source", metavar="STUDY", type=_PATH)
@click.option("-o", "--output", type=_FOLDER, help="Folder; by default STUDY/report.")
@click.option("--first", help="The model that stands first in its pairs; by default that of the study.")
@click.option(
    "--allowed-failures",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Attention checks that a rater may fail and still count.",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="Of the bootstrap.")
def report_command(source: Path, output: Path | None, first: str | None, allowed_failures: int, seed: int) -> None:
    """Count the votes of STUDY, the folder of a study or a file of votes, and write page and summary.

    Exit codes: 0 done, 2 no votes or wrong input.
    """
    from nava.evaluation.study.aggregate import aggregate
    from nava.evaluation.study.page import render_study
    from nava.evaluation.study.summary import summary
    from nava.runtime.storage import write_json, write_text

    votes, models = _read_votes(source)
    if first is not None and first not in {name for vote in votes for name in (vote.left_model, vote.right_model)}:
        raise InputError(f"--first {first}: no vote is about a model of this name")
    if output is None and not source.is_dir():
        raise InputError(f"{source} is a file of votes: name the folder of the report with -o")
    target = output or source / "report"
    require_writable(target / REPORT_PAGE)
    result = aggregate(
        votes, models=[*([first] if first else []), *models], allowed_failures=allowed_failures, seed=seed
    )
    write_json(target / REPORT_SUMMARY, summary(result))
    write_text(target / REPORT_PAGE, render_study(result))
    excluded = [rater for rater in result.raters if rater.left_out]
    click.echo(f"{result.counted} of {result.answers} answers counted, {len(result.raters)} raters")
    for rater in excluded:
        click.echo(f"left out: {rater.rater}: {rater.left_out}")
    click.echo(f"{target / REPORT_PAGE}: the result; {target / REPORT_SUMMARY} for programs")


def _read_votes(source: Path) -> tuple[tuple[Any, ...], tuple[str, ...]]:
    """The votes, and the order of the models if a study gives one. What was torn off is said."""
    from nava.evaluation.study.study_file import VOTES_FILE, read_study
    from nava.evaluation.study.votes import VoteStore

    models: tuple[str, ...] = ()
    path = source
    if source.is_dir():
        models, path = read_study(source).models, source / VOTES_FILE
    if not path.is_file():
        raise InputError(f"{path} does not exist: nobody voted yet, or the name is wrong")
    found = VoteStore(path).read()
    if found.torn:
        click.echo(f"{path}: the last line is torn, its writer was killed; that answer does not count", err=True)
    return found.votes, models


def _read_cases(path: Path) -> list[StudyCase]:
    from nava.evaluation.study.fields import json_object
    from nava.evaluation.study.plan import StudyCase

    cases = []
    for number, line in enumerate(_lines(path), start=1):
        fields = json_object(line, f"{path}, line {number}")
        fields.only(("case_id", "task", "prompt", "image"))
        given = fields.optional_text("image")
        image = path.parent / given if given is not None else None
        cases.append(StudyCase(fields.text("case_id"), fields.text("task"), fields.text("prompt"), image))
    return cases


def _clips(model: str, folder: Path, cases: Sequence[StudyCase]) -> dict[str, Path]:
    """The model's clip of each case, looked up by name among the files that are there."""
    if not folder.is_dir():
        raise InputError(f"--model {model}: {folder} is no folder")
    files: dict[str, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        files.setdefault(path.stem, []).append(path)
    clips = {}
    for case in cases:
        found = [path for path in files.get(case.case_id, []) if path.suffix.lower() in (".mp4", ".webm")]
        if len(found) != 1:
            what = "no" if not found else "more than one"
            raise InputError(f"--model {model}: {folder} has {what} clip {case.case_id}.mp4 or .webm")
        clips[case.case_id] = found[0]
    return clips


def _pairs(option: str, values: Sequence[str]) -> list[tuple[str, str]]:
    found = []
    for value in values:
        name, equals, path = value.partition("=")
        if not (name and equals and path):
            raise InputError(f"{option} {value}: a name, =, and a path are wanted")
        found.append((name, path))
    return found


def _named(option: str, values: Sequence[str]) -> dict[str, str]:
    found = _pairs(option, values)
    if len(dict(found)) < len(found):
        raise InputError(f"{option}: a name is given twice")
    return dict(found)


def _read_raters(path: Path) -> list[str]:
    raters = [line for line in _lines(path) if line.strip()]
    if not raters:
        raise InputError(f"{path} names nobody")
    return raters


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
