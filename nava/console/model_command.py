"""`nava model`: look at a model's tensors, make weights, convert them, put them into a package."""

import json

import click

from nava.console.parity_command import parity


@click.group("model")
def model() -> None:
    """Models and their weights."""


model.add_command(parity)


@model.command("keys")
@click.option("--model", "name", default="nava_6b", show_default=True, help="A size by name.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, name to shape.")
def keys_command(name: str, as_json: bool) -> None:
    """Every tensor of a model with its shape, and how many parameters they are."""
    from nava.model.keys import model_shapes, parameter_count

    shapes = model_shapes(name)
    if as_json:
        click.echo(json.dumps(shapes, indent=1))
        return
    for key, shape in shapes.items():
        click.echo(f"{key} {shape}")
    click.echo(f"{len(shapes)} tensors, {parameter_count(shapes):,} parameters")
