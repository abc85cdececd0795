"""`nava eval environment`: environments of backends whose libraries clash with ours."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click

from nava.runtime.errors import InputError


@click.group("environment")
def environment() -> None:
    """Environments of their own for backends whose libraries clash with ours."""


@environment.command("list")
def list_environments() -> None:
    """The environments that there are, which backends need them, and whether they have been made."""
    from nava.evaluation.environments.recipe import environment_of, recipe_names
    from nava.evaluation.extraction.extractor import ENTRIES

    for name in recipe_names():
        found = environment_of(name)
        backends = ", ".join(entry.name for entry in ENTRIES.values() if entry.environment == name) or "no backend"
        lacks = found.lacks()
        state = (
            f"{lacks}: nava eval environment make {name}" if lacks else f"{found.stamped()['library']}, {found.place}"
        )
        click.echo(f"{name:16} {backends}: {state}")


@environment.command("make")
@click.argument("name")
@click.option(
    "--python", default=sys.executable, help="Interpreter to make it with; by default the one that runs this."
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Make it in this folder; a link to it is left where backends look, ~/.cache/nava/environments.",
)
def make(name: str, python: str, folder: Path | None) -> None:
    """Make the environment NAME: a venv with its pinned requirements. Killed, the same command makes it anew.

    Exit codes: 0 made or there already, 1 a requirement could not be installed or the library not be imported, 2 wrong
    input.
    """
    from nava.evaluation.environments.make import make_environment
    from nava.evaluation.environments.recipe import Environment, environment_of

    looked_for = environment_of(name)
    # Where there is a link already, what it leads to is meant.
    made = Environment(looked_for.recipe, (folder.expanduser() / name if folder else looked_for.place).resolve())
    elsewhere = made.place != looked_for.place.parent.resolve() / name
    if elsewhere:
        _check_link(looked_for.place)
    since = time.monotonic()
    new = make_environment(made, python, click.echo)
    if elsewhere:
        _link(looked_for.place, made.place)
    took = f"made in {time.monotonic() - since:.0f} s" if new else "is there already"
    click.echo(f"environment {name} {took}: {made.place}, {made.stamped()['library']}")
    click.echo("next: nava eval score; backends in this environment are found by it")


def _check_link(place: Path) -> None:
    if place.exists() and not place.is_symlink():
        raise InputError(f"{place} is there already and would be found first: remove it, or leave --folder out")


def _link(place: Path, target: Path) -> None:
    """Let backends find what was made elsewhere."""
    import os

    place.parent.mkdir(parents=True, exist_ok=True)
    temporary = place.with_name(f".{place.name}.{os.getpid()}.link")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(target, target_is_directory=True)
    temporary.replace(place)
