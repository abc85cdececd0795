"""What the commands of `nava data` share: options, the resolved settings, and the gate before anything is versioned."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from nava.runtime.errors import InputError

if TYPE_CHECKING:
    from nava.config.composition import ResolvedConfig

C = TypeVar("C")
FOLDER = click.Path(path_type=Path, file_okay=False)
RECIPE = click.option("--recipe", default="demo", show_default=True, help="See `nava config recipes`.")
CURATED = click.argument("folder", type=FOLDER)


def require_passed(folder: Path, recipe: str, overrides: tuple[str, ...]) -> None:
    """The gates, held against the folder as it is now.

    Raises:
        GateFailed: a rule does not hold.
    """
    from nava.artifacts.gate_verdict import write_verdict
    from nava.config.curation import CurationConfig
    from nava.config.validation import ValidationConfig
    from nava.data.validation.step import judge
    from nava.runtime.errors import GateFailed

    resolved = composed(recipe, overrides)
    verdict = judge(folder.resolve(), section(resolved, ValidationConfig), section(resolved, CurationConfig))
    write_verdict(folder / "gate", verdict, title="Data gate")
    click.echo(f"{sum(bool(rule.passed) for rule in verdict.rules)} of {len(verdict.rules)} rules hold")
    click.echo(f"{folder}/gate/verdict.html: every rule, what was seen, and the records that break it")
    if not verdict.passed:
        raise GateFailed(verdict.message())


def existing(folder: Path, holds: str = "") -> Path:
    """A folder, or InputError if it, or the file that it must hold, does not exist."""
    if not (folder / holds).exists():
        raise InputError(f"{folder / holds if holds else folder} does not exist")
    return folder


def composed(recipe: str, overrides: tuple[str, ...] | list[str]) -> ResolvedConfig:
    """A recipe with overrides. InputError: an unknown recipe or setting."""
    from nava.config.composition import compose

    return compose(recipe, list(overrides))


def section(resolved: ResolvedConfig, schema: type[C]) -> C:
    """The typed section of a schema class."""
    from nava.runtime.step import section_name, typed_section

    return typed_section(schema, resolved.config[section_name(schema)])
