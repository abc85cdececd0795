"""`nava train`: plan a recipe, train a stage, look at it while it runs, and make a package of its result."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nava.console.adapter_command import adapter
from nava.console.train_plan_command import plan

_FOLDER = click.Path(path_type=Path, file_okay=False)
_ANY = click.Path(path_type=Path)


@click.group()
def train() -> None:
    """Train a stage on latent shards: plan, run, status, export, adapter."""


train.add_command(plan)
train.add_command(adapter)


@train.command("run")
@click.option("--recipe", default="demo", show_default=True, help="See `nava config recipes`.")
@click.option("--stage", required=True, type=click.IntRange(1, 3), help="1, 2 or 3.")
@click.option("--data", required=True, help="Latent shards: a folder, or a bucket address.")
@click.option("--out", "-o", required=True, type=_FOLDER, help="Folder of the run; run again to go on.")
@click.option(
    "--init",
    type=_ANY,
    help="Weights to start from: the run or the result of another stage, a model package, or a safetensors file.",
)
@click.option("--max-steps", type=click.IntRange(1), help="Optimizer steps; by default the recipe's. See below.")
@click.option("--nproc", type=click.IntRange(1), help="Processes on this machine; by default the recipe's `launch`.")
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="By default the recipe's.")
@click.argument("overrides", nargs=-1)
def run_command(
    recipe: str,
    stage: int,
    data: str,
    out: Path,
    init: Path | None,
    max_steps: int | None,
    nproc: int | None,
    seed: int | None,
    overrides: tuple[str, ...],
) -> None:
    """Train a stage; killed or stopped, the same command goes on from the newest complete checkpoint.

    OVERRIDES are settings such as training.micro_batch_size=8. --max-steps ends the stage earlier or later without
    moving the learning-rate schedule, so that 10 steps and then 20 are the same as 20; to squeeze or stretch the
    schedule set training.stageN.steps. Writes OUT/metrics.jsonl (a row per step), OUT/result, OUT/training.html.

    Exit codes: 0 done, 1 failed, 2 wrong input or setting, 4 the training diverged, 130 interrupted (Ctrl-C), 143 told
    to stop (SIGTERM).
    """
    from nava.console.train_run import TrainRequest, run_training

    settings = (*overrides, *([f"seed={seed}"] if seed is not None else []))
    run_training(TrainRequest(recipe, stage, data, out, init, max_steps, nproc, settings), click.echo)


@train.command("status")
@click.argument("folder", type=_FOLDER)
@click.option("--json", "as_json", is_flag=True, help="As JSON; times in seconds.")
@click.option("--page", is_flag=True, help="Write FOLDER/training.html as well.")
def status_command(folder: Path, as_json: bool, page: bool) -> None:
    """How the run in FOLDER stands: steps, losses, speed, time left, last checkpoint, last error. Reads files only."""
    from nava.training.run_status import read_status, status_lines

    status = read_status(folder)
    if as_json:
        click.echo(json.dumps(status.to_json(), indent=2))
    else:
        for line in status_lines(status):
            click.echo(line)
    if page:
        from nava.console.train_page import write_training_page

        click.echo(f"{write_training_page(folder)}: curves, events, samples", err=as_json)


@train.command("export")
@click.argument("folder", type=_FOLDER)
@click.option("--output", "-o", required=True, type=_ANY, help="The new package.")
@click.option("--name", default="nava", show_default=True, help="Name of the model.")
@click.option("--licence", default="Apache-2.0", show_default=True, help="Of the weights (SPDX).")
@click.option(
    "--key-dir",
    type=_FOLDER,
    default=lambda: Path(click.get_app_dir("nava")) / "keys",
    show_default="keys in your configuration folder of nava",
    help="Where the signing key is, or is made.",
)
def export_command(folder: Path, output: Path, name: str, licence: str, key_dir: Path) -> None:
    """Make a signed model package of the result in FOLDER, with the codecs of the latents that it was trained on."""
    from nava.console.train_export import export_package

    made = export_package(folder, output, name=name, licence=licence, key_dir=key_dir)
    click.echo(f"{output}: package {made.sha256}, verified with {made.public_key}")
    click.echo(f"next: nava generate --package {output} --public-key {made.public_key} --prompt '...' -o clip.mp4")
