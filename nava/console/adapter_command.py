"""`nava train adapter`: add trained adapters to the weights they belong to, and take them out again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nava.runtime.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

_FOLDER = click.Path(path_type=Path, file_okay=False)
_ANY = click.Path(path_type=Path)
_NEW_FILE = click.Path(path_type=Path, dir_okay=False)


@click.group()
def adapter() -> None:
    """Add the adapters of a training (RUN/result/adapter) to weights, or take them out again."""


@adapter.command("merge")
@click.argument("adapter_folder", metavar="ADAPTER", type=_FOLDER)
@click.argument("weights", type=_ANY)
@click.argument("output", type=_NEW_FILE)
def merge_command(adapter_folder: Path, weights: Path, output: Path) -> None:
    """Write WEIGHTS (a model package, or a training's run or result) with ADAPTER added to OUTPUT, a safetensors file.

    WEIGHTS must be those that the adapter was trained on. OUTPUT can be started from (`nava train run --init`).
    """
    from nava.training.adapters import Adapter

    _write(output, Adapter.read(adapter_folder).merged(_weights(weights)))


@adapter.command("unmerge")
@click.argument("adapter_folder", metavar="ADAPTER", type=_FOLDER)
@click.argument("weights", type=_ANY)
@click.argument("output", type=_NEW_FILE)
def unmerge_command(adapter_folder: Path, weights: Path, output: Path) -> None:
    """Write WEIGHTS, to which ADAPTER was added, without it to OUTPUT: the weights before, but for rounding."""
    from nava.training.adapters import Adapter

    _write(output, Adapter.read(adapter_folder).unmerged(_weights(weights)))


def _weights(place: Path) -> dict[str, Tensor]:
    """Weights in float32, as adapters are trained beside them."""
    import torch

    from nava.model.architecture import build_model
    from nava.model.keys import config_of
    from nava.model.weights.load import load_weights
    from nava.training.run_folder import result_of
    from nava.training.start import weights_of

    if not place.exists():
        raise InputError(f"{place} is not there; give a model package, or a training's run or result")
    weights, described = weights_of(result_of(place))
    if described is None:
        raise InputError(f"{place} does not say what model it is of; give a model package or the result of a training")
    model = build_model(config_of(None, described))
    load_weights(model, weights, dtype=torch.float32)
    return model.state_dict()


def _write(output: Path, weights: dict[str, Tensor]) -> None:
    from safetensors.torch import save_file

    from nava.runtime.storage import atomic_file

    try:
        with atomic_file(output) as part:
            save_file({name: value.contiguous() for name, value in weights.items()}, part)
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error}") from error
    click.echo(f"{output}: {len(weights)} tensors")
