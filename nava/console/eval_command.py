"""`nava eval`: benchmarks, their metrics, somebody's outputs scored, and results beside each other."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nava.console.benchmark_place import benchmark, watch
from nava.console.eval_catalogue import doctor, metrics
from nava.console.eval_environment import environment
from nava.console.eval_gate import gate_command
from nava.console.eval_run import run_benchmark
from nava.console.eval_sweep import SWEEP_COMMANDS
from nava.runtime.errors import EXIT_DONE, EXIT_FAILED, InputError

if TYPE_CHECKING:
    from nava.evaluation.run.score import Scored, ScoringSettings

FOLDER = click.Path(path_type=Path, file_okay=False)
TASK = click.option("--task", "task_name", required=True, help="A task, see `nava eval tasks`, or a .yaml file.")
DATA = click.option("--data", type=FOLDER, help="Folder of the benchmark's data; the built-in one is made there.")


@click.group("eval")
def evaluate() -> None:
    """Benchmarks: run a model, score anybody's outputs, compare results; every figure with coverage and interval."""


evaluate.add_command(environment)
evaluate.add_command(gate_command)


for command in (run_benchmark, metrics, doctor, *SWEEP_COMMANDS):
    evaluate.add_command(command)


@evaluate.command("tasks")
def tasks() -> None:
    """The benchmarks that there are."""
    from nava.evaluation.benchmark.task import load_task, task_names

    for name in task_names():
        task = load_task(name)
        counts = ", ".join(f"{subset} {entry.items}" for subset, entry in task.subsets.items())
        click.echo(f"{name:18} {task.title}: {counts} items; {len(task.metrics)} metrics; edition {task.edition}")


@evaluate.command("requests")
@TASK
@DATA
@click.option("--seed", default=0, show_default=True, help="Of the noise.")
@click.option("--out", "-o", required=True, type=click.Path(path_type=Path), help="JSONL file; with --for a folder.")
@click.option("--for", "model", help="Another model: its prompt format, and the files that its own script reads.")
@click.option("--rewriter", type=click.Choice(["rules", "endpoint"]), help="Who rewrites prompts; by default rules.")
@click.option("--settings", type=click.Path(path_type=Path), help="YAML file with settings, as of `nava rewrite`.")
@click.option("--set", "overrides", multiple=True, metavar="NAME=VALUE", help="One of these, e.g. cache_dir=DIR.")
@click.option("--images/--no-images", default=True, help="Whether models get the first frame where they take it.")
@click.option("--voices/--no-voices", default=True, help="Whether models get the reference voice where they take it.")
@click.option("--portrait", type=click.Path(path_type=Path), help="Picture of who speaks, for DreamID-Omni.")
def requests(task_name: str, data: Path | None, seed: int, out: Path, **given: Any) -> None:
    """Write a benchmark's items as requests for `nava generate --requests`, or --for another model.

    For another model each prompt is rewritten and put into that model's format. Beside its files `requests.json` says
    what it got of each item and how its output will be named; items that it cannot be asked for are told with reasons.

    Exit codes: 0 done, 1 a prompt could not be rewritten, 2 wrong input.
    """
    task, items = benchmark(task_name, data)
    if given["model"]:
        from nava.console.eval_requests import requests_for_model

        sys.exit(requests_for_model(task, items, out, {"seed": seed, **given}))
    if given["rewriter"] or given["settings"] or given["overrides"] or given["portrait"]:
        raise InputError("--rewriter, --settings, --set and --portrait belong to --for MODEL")
    from nava.evaluation.run.requests import write_requests

    write_requests(out, items, seed, with_image=given["images"], with_voice=given["voices"])
    click.echo(f"{out}: {len(items)} requests\nnext: nava generate --requests {out} --output-dir OUTPUTS")


@evaluate.command("score")
@TASK
@DATA
@click.option("--outputs", required=True, type=FOLDER, help="The generated files; outputs.jsonl in it may map them.")
@click.option("--out", "-o", required=True, type=FOLDER, help="Folder of the result; run again to go on.")
@click.option("--layout", default="default", show_default=True, help="Model whose own script named the files.")
@click.option("--requests", "request_file", type=click.Path(path_type=Path), help="What `requests --for` wrote for it.")
@click.option("--model", default="", help="Whose outputs they are; by default the folder's name.")
@click.option("--metric", "only", multiple=True, help="Only this metric of the task; may be given often.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Worker processes.")
@click.option("--backends", type=click.Path(path_type=Path), help="YAML file: where backends have their weights.")
@click.option("--cache", type=FOLDER, help="Folder of features that runs share; by default in --out.")
@click.option("--min-coverage", default=0.9, show_default=True, type=click.FloatRange(0, 1), help="Items with a value.")
@click.option("--allow-missing", is_flag=True, help="Exit with 0 even if a figure has too few values.")
def score(
    task_name: str,
    data: Path | None,
    outputs: Path,
    out: Path,
    layout: str,
    request_file: Path | None,
    model: str,
    only: tuple[str, ...],
    workers: int,
    backends: Path | None,
    cache: Path | None,
    min_coverage: float,
    allow_missing: bool,
) -> None:
    """Score generated files under a benchmark's metrics; killed, the same command goes on.

    Exit codes: 0 done, 1 a figure has values for too few items, 2 wrong input.
    """
    from nava.console.eval_requests import requests_of
    from nava.evaluation.extraction.feature_cache import FeatureCache
    from nava.evaluation.run.backend_file import read_backend_file
    from nava.evaluation.run.outputs import find_outputs, names_in
    from nava.evaluation.run.score import ScoringSettings, score_outputs, write_result

    task, items = benchmark(task_name, data)
    _check_metrics(task, only)
    asked = requests_of(request_file, layout, items)
    found, spare = find_outputs(outputs, items, layout, asked)
    if spare:
        click.echo(f"note: {len(spare)} files belong to no item: {', '.join(spare[:3])}", err=True)
    settings = ScoringSettings(workers=workers, min_coverage=min_coverage)
    features = FeatureCache(cache or out / "features", read_backend_file(backends) if backends else None)
    missing = asked.reasons_by_item if asked else {}
    scored = score_outputs(task, items, found, features, settings, watch, only, missing)
    names = names_in(outputs, found)
    write_result(out / "result", task, items, scored, settings, model or outputs.resolve().name, names)
    _tell(scored, settings)
    click.echo(f"{out / 'result'}: rows.jsonl, summary.json")
    sys.exit(EXIT_FAILED if scored.uncovered and not allow_missing else EXIT_DONE)


def _check_metrics(task: Any, only: Iterable[str]) -> None:
    known = [routing.metric for routing in task.metrics]
    if unknown := set(only) - set(known):
        raise InputError(f"task {task.task_id} has no metric {', '.join(sorted(unknown))}; it has {', '.join(known)}")


def _tell(scored: Scored, settings: ScoringSettings) -> None:
    for figure in scored.figures:
        value = "–" if figure.value is None else f"{figure.value:.4g}"
        interval = "" if figure.ci_low is None else f" [{figure.ci_low:.4g}, {figure.ci_high:.4g}]"
        mark = " unproven" if figure.unproven else ""
        click.echo(f"{figure.column:40} {value}{interval} {figure.unit}, {figure.n} of {figure.eligible} items{mark}")
    for absent in scored.absent:
        click.echo(f"{absent.metric}[{absent.backend}]: not measured: {absent.reason}")
    for figure in scored.uncovered:
        click.echo(f"too few: {figure.column}: {figure.reason}", err=True)


@evaluate.command("compare")
@click.argument("first", type=FOLDER)
@click.argument("second", type=FOLDER)
def compare(first: Path, second: Path) -> None:
    """Paired differences of two results on the same items, with intervals: FIRST minus SECOND."""
    from nava.evaluation.run.compare import compare_runs

    for row in compare_runs(first, second):
        if row.difference is None:
            click.echo(f"{row.column:40} not compared: {row.reason}")
            continue
        verdict = f"{row.better} is better" if row.better else "no difference beyond chance"
        click.echo(
            f"{row.column:40} {row.difference:+.4g} [{row.ci_low:+.4g}, {row.ci_high:+.4g}], p {row.p_value:.2g}, "
            f"{row.n} items: {verdict}"
        )


@evaluate.command("leaderboard")
@click.argument("folders", nargs=-1, required=True, type=FOLDER)
def leaderboard(folders: tuple[Path, ...]) -> None:
    """Results beside each other and beside what is published on their task, as a Markdown table."""
    from nava.evaluation.run.leaderboard import leaderboard as board_of

    board = board_of(folders)
    click.echo("| model | " + " | ".join(board.columns) + " |")
    click.echo("|---" * (len(board.columns) + 1) + "|")
    for row in board.rows:
        cells = [f"{row.figures[name]['value']:.4g}" if name in row.figures else "–" for name in board.columns]
        click.echo(f"| {row.model} ({row.origin}) | " + " | ".join(cells) + " |")
    if board.source:
        click.echo(f"\npublished: {board.source}")


@evaluate.command("reproduce")
@click.argument("result", type=FOLDER)
@click.option("--model", required=True, help="Whose published row.")
def reproduce(result: Path, model: str) -> None:
    """Published figures of a model beside those measured here."""
    from nava.evaluation.run.reproduce import reproduce as held

    for row in held(result, model):
        measured = "–" if row.measured is None else f"{row.measured:.4g} ({row.relative:+.1%})"
        click.echo(f"{row.title:8} published {row.published:.4g}, measured {measured} {row.column} {row.note}".rstrip())


@evaluate.command("report")
@click.argument("folders", nargs=-1, required=True, type=FOLDER)
@click.option("--out", "-o", required=True, type=FOLDER, help="Folder for index.html, table.md and table.tex.")
@click.option("--outputs", multiple=True, type=FOLDER, help="Generated files of each result in turn, to look at.")
@click.option("--clips", default=4, show_default=True, type=click.IntRange(0), help="Items to look at.")
def report(folders: tuple[Path, ...], out: Path, outputs: tuple[Path, ...], clips: int) -> None:
    """Results of one task side by side as a page with players, and as tables for papers."""
    from nava.evaluation.run.report import write_report

    if outputs and len(outputs) != len(folders):
        raise InputError(f"{len(outputs)} --outputs for {len(folders)} results; give one for each, or none")
    click.echo(f"{write_report(folders, out, outputs, clips)}: open it in a browser; table.md, table.tex beside it")
