"""Weights of a model that was never trained, written one tensor at a time: 6.3B parameters in a few GB of memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from torch import Tensor

from nava.config.model import ModelConfig
from nava.model.initialisation import initial_values
from nava.model.keys import meta_model, shapes_of
from nava.model.weights.export import ExportReport, Form, plan_of, released_tensors, report_of
from nava.model.weights.writing import write_safetensors


def write_fresh(
    config: ModelConfig,
    seed: int,
    target: Path,
    form: Form,
    *,
    max_shard_bytes: int | None = None,
    each: Callable[[str], None] | None = None,
) -> ExportReport:
    """Write the weights that a model of this configuration starts from: the same values as building it with the seed.

    Args:
        config: the architecture.
        seed: draws every value.
        target: the new file; of several shards, the name that theirs are made from.
        form: types of the tensors in it; the values are drawn in float32 and rounded.
        max_shard_bytes: how large a file may become; None writes one.
        each: called with the name of every tensor, for progress.

    Raises:
        InputError: there is no room for the file.
    """
    model = meta_model(config)
    shapes = shapes_of(model)

    def values() -> Iterator[tuple[str, Tensor]]:
        for name, value, _ in initial_values(model, config, seed):
            yield from released_tensors(name, value, form)
            if each is not None:
                each(name)

    return report_of(write_safetensors(target, plan_of(shapes, form), values(), max_shard_bytes), shapes, form)
