"""`nava eval run`: a benchmark from its items to a page in one command, with the baselines that figures are read by."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nava.console.generator_options import generator_options, given_loader, given_package, sampler_overrides
from nava.runtime.errors import EXIT_DONE, EXIT_FAILED, InputError

if TYPE_CHECKING:
    from nava.artifacts.model_package import ModelPackage
    from nava.evaluation.run.arm import Arm
    from nava.evaluation.run.campaign import Campaign, EvaluatedModel
    from nava.evaluation.run.score import Scored, ScoringSettings

FOLDER = click.Path(path_type=Path, file_okay=False)
PATH = click.Path(path_type=Path)
# Of these a freshly drawn model knows nothing.
_HELD_OTHERWISE = ("fp8", "offload", "compile_blocks")


@click.command("run")
@click.option("--task", "task_name", required=True, help="A task, see `nava eval tasks`, or a .yaml file.")
@click.option("--data", type=FOLDER, help="Folder of the benchmark's data; the built-in one is made there.")
@click.option("--out", "-o", required=True, type=FOLDER, help="Folder of clips, results and page; run again to go on.")
@click.option("--items", "per_subset", type=click.IntRange(1), help="Only so many items of each subset.")
@click.option("--baseline", "baselines", multiple=True, help="untrained, shuffled or truth beside it; repeatable.")
@click.option("--model", "name", help="What the model's row is called; by default as its package says.")
@click.option("--seed", default=0, show_default=True, help="Of noise, untrained weights and shuffling.")
@click.option("--no-images", is_flag=True, help="Do not give the model the items' first frames.")
@click.option("--no-voices", is_flag=True, help="Do not give the model the items' reference voices.")
@click.option("--generate-as", default="", help="Task of every request, such as T2A; else the request decides.")
@click.option("--backends", type=PATH, help="YAML file: where backends have their weights.")
@click.option("--cache", type=FOLDER, help="Folder of features that runs share; by default in --out.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1), help="Processes that score.")
@click.option("--min-coverage", default=0.9, show_default=True, type=click.FloatRange(0, 1), help="Items with a value.")
@click.option("--allow-missing", is_flag=True, help="Exit with 0 even if a figure of the model has too few values.")
@click.option("--clips", default=4, show_default=True, type=click.IntRange(0), help="Items to look at on the page.")
@generator_options
def run_benchmark(
    task_name: str,
    data: Path | None,
    out: Path,
    backends: Path | None,
    cache: Path | None,
    workers: int,
    min_coverage: float,
    allow_missing: bool,
    clips: int,
    **given: Any,
) -> None:
    """Ask a model for a benchmark's items, score what it makes, and put it on a page.

    Killed at any moment, the same command goes on. Writes requests.jsonl, outputs/, result/ and report/index.html in
    --out; each baseline has a folder of its name there. What the model refuses is a row with its reason.

    Exit codes: 0 done, 1 a figure of the model has values for too few items, 2 wrong input.
    """
    from nava.console.benchmark_place import watch
    from nava.evaluation.extraction.feature_cache import FeatureCache
    from nava.evaluation.run.backend_file import read_backend_file
    from nava.evaluation.run.campaign import make_outputs, planned_lines
    from nava.evaluation.run.parts import score_arms, write_results
    from nava.evaluation.run.report import write_report
    from nava.evaluation.run.score import ScoringSettings

    campaign = _campaign(task_name, data, given)
    settings = ScoringSettings(workers=workers, min_coverage=min_coverage)
    features = FeatureCache(cache or out / "features", read_backend_file(backends) if backends else None)
    click.echo("\n".join(planned_lines(campaign, out)))
    with given_package(given) as package:
        arms = make_outputs(campaign, _model(package, given), out, _said)
    scores = score_arms(campaign, arms, features, settings, watch)
    folders = write_results(campaign, arms, scores, out, settings)
    page = write_report(list(folders.values()), out / "report", [arm.outputs for arm in arms], clips)
    uncovered = _tell(arms, scores, settings)
    click.echo(f"{page}: open it in a browser; table.md, table.tex beside it; rows: {folders['model']}")
    sys.exit(EXIT_FAILED if uncovered and not allow_missing else EXIT_DONE)


def _campaign(task_name: str, data: Path | None, given: dict[str, Any]) -> Campaign:
    from nava.console.benchmark_place import benchmark, benchmark_place
    from nava.evaluation.run.arm import UNTRAINED, check_baselines, first_items
    from nava.evaluation.run.campaign import Campaign

    task, items = benchmark(task_name, data)
    baselines = tuple(dict.fromkeys(given["baselines"]))
    check_baselines(task, baselines)
    if UNTRAINED in baselines and (held := [name for name in _HELD_OTHERWISE if given[name]]):
        raise InputError(f"baseline {UNTRAINED} is drawn as the model is written; leave --{held[0].split('_')[0]} out")
    return Campaign(
        task=task,
        items=tuple(first_items(items, given["per_subset"] or 0)),
        benchmark=benchmark_place(task.task_id, data),
        seed=given["seed"],
        baselines=baselines,
        images=not given["no_images"],
        voices=not given["no_voices"],
        generate_as=given["generate_as"],
    )


def _model(package: ModelPackage, given: dict[str, Any]) -> EvaluatedModel:
    from nava.evaluation.run.model import package_model

    load = given_loader(given)
    return package_model(package, load, sampler_overrides(given), given["name"], load.keywords["dtype"], given["fp8"])


def _said(text: str) -> None:
    bad = ": refused: " in text or ": failed: " in text
    click.echo(text, err=bad)


def _tell(arms: list[Arm], scores: dict[str, Scored], settings: ScoringSettings) -> bool:
    """Print the figures of every arm; whether the model's own cover too few items."""
    # What is loaded already when this command is looked up.
    from nava.console.eval_command import _tell as tell_figures

    for arm in arms:
        click.echo(f"\n{arm.label}")
        tell_figures(scores[arm.name], settings)
    return bool(scores[arms[0].name].uncovered)
