"""The model before training: the same architecture, codecs and sampler with freshly drawn weights."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json

if TYPE_CHECKING:
    from nava.generation.pipeline import Generator


def untrained(generator: Generator, seed: int) -> Generator:
    """The generator with new weights of the seed, in the number format and on the device of the trained ones.

    Raises:
        InputError: the trained weights are held in another form than they are drawn in (eight bits).
    """
    from nava.model.architecture import build_model

    trained: Any = generator.model
    model = build_model(trained.config, seed).to(generator.device).eval().requires_grad_(False)
    own, given = dict(model.named_parameters()), dict(trained.named_parameters())
    if own.keys() != given.keys():
        raise InputError("baseline untrained: the model's weights are held in eight bits; leave fp8 out")
    for name, parameter in own.items():
        parameter.data = parameter.data.to(given[name].dtype)
    origin = replace(
        generator.origin,
        name=f"{generator.origin.name} untrained".strip(),
        weights_sha256=sha256_json({"untrained": generator.origin.weights_sha256, "seed": seed}),
    )
    return replace(generator, model=model, origin=origin)
