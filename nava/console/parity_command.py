"""`nava model parity`: a folder of the released code's own numbers against this code."""

import json
from pathlib import Path

import click

from nava.runtime.errors import EXIT_FAILED


@click.command("parity")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--case", "names", multiple=True, metavar="NAME", help="Run this case only; repeatable, `j*` allowed.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object with the error of every tensor.")
@click.pass_context
def parity(ctx: click.Context, folder: Path, names: tuple[str, ...], as_json: bool) -> None:
    """Run every case of DIR/manifest.json and compare each tensor with the released code's.

    The error is max|a - b| / max|b|. Tolerances: passes 1e-5, whole sampling runs and gradients 1e-4, bf16 3e-2, whole
    numbers exact. Exit codes: 0 all passed; 1 a case failed, is missing or was not run; 2 wrong input.
    """
    from nava.evaluation.parity import report
    from nava.evaluation.parity.runner import run_set

    results = []
    running = run_set(folder, names)
    if not as_json:
        click.echo(report.heading())
    for result in running:
        results.append(result)
        if not as_json:
            click.echo(report.row(result))
    if as_json:
        click.echo(json.dumps(report.as_json(str(folder), results), indent=1))
    else:
        click.echo(report.summary(results))
    if not report.all_passed(results):
        ctx.exit(EXIT_FAILED)
