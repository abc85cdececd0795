"""A model package as what a campaign evaluates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from nava.evaluation.run.campaign import EvaluatedModel
from nava.generation.request import SamplerOverrides
from nava.runtime.hashing import sha256_json

if TYPE_CHECKING:
    import torch

    from nava.artifacts.model_package import ModelPackage
    from nava.generation.pipeline import Generator


def package_model(
    package: ModelPackage,
    load: Callable[[ModelPackage], Generator],
    overrides: SamplerOverrides,
    name: str | None,
    dtype: torch.dtype,
    fp8: bool = False,
) -> EvaluatedModel:
    """The model of a package.

    Args:
        package: on this machine, its files verified.
        load: makes its generator.
        overrides: of the package's sampler settings.
        name: what its row is called; as the package says if None or empty.
        dtype: number format of the weights, as `load` has it.
        fp8: whether `load` holds linear maps in eight bits.

    Raises:
        InputError: a sampler setting that no sampler takes (when the model is loaded).
    """

    def generator() -> Generator:
        loaded = load(package)
        return replace(loaded, sampler=overrides.apply(loaded.sampler))

    identity = sha256_json(
        {"package": package.sha256, "sampler": asdict(overrides), "dtype": str(dtype), "fp8": bool(fp8)}
    )
    return EvaluatedModel(name or package.description.model_name, identity, generator, package.sha256)
