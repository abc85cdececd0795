"""`nava train plan`: what a recipe needs on a cluster, before anything is started."""

from __future__ import annotations

import json

import click


@click.command("plan")
@click.option("--recipe", default="demo", show_default=True, help="See `nava config recipes`.")
@click.option("--json", "as_json", is_flag=True, help="As JSON: bytes, seconds, operations.")
@click.argument("overrides", nargs=-1)
def plan(recipe: str, as_json: bool, overrides: tuple[str, ...]) -> None:
    """Parameters, memory, tokens, time and cost of a recipe, reckoned without a GPU.

    OVERRIDES are settings such as cluster.nodes=4 or training.zero_stage=3; cluster.* describes the machines. Exit
    codes: 0 it fits, 2 wrong setting or it does not fit; the message names the largest part and what would help.
    """
    from nava.config.composition import compose
    from nava.training.estimate.plan import dry_run
    from nava.training.estimate.table import plan_lines

    found = dry_run(compose(recipe, list(overrides)).config, recipe)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
        return
    for line in plan_lines(found):
        click.echo(line)
