"""The pipeline step `generate_outputs`: a benchmark's items asked of the champion, or of a package that is named."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nava.config.benchmark import BenchmarkConfig
from nava.config.registry import RegistryConfig
from nava.registry.champion import champion_package
from nava.runtime.handle import Handle
from nava.runtime.step import KEY_DIGITS, Step

if TYPE_CHECKING:
    from nava.artifacts.model_package import ModelPackage
    from nava.evaluation.run.campaign import EvaluatedModel


def model_identity(step: Step) -> str:
    """The package's hash, and the benchmark's."""
    from nava.artifacts.model_package import package_sha256
    from nava.evaluation.run.steps import benchmark_identity

    config = step.section(BenchmarkConfig)
    if config.package:
        package = package_sha256(Path(config.package).expanduser())
    else:
        package = champion_package(step.run_dir, step.section(RegistryConfig)).sha256
    return f"{package} {benchmark_identity(step)}"


def generate_outputs(step: Step) -> Handle:
    """The clips of the model and of its baselines; a killed step loses the clip it was at.

    They lie in the run's folder by what decides them and not by how many items are asked, so that more items make none
    of them anew. Reads the sections `benchmark` and `registry`.

    Returns:
        Handle of kind `benchmark_outputs`; its hash is of the clips, wherever they lie.

    Raises:
        InputError: there is no champion or no such package, or a setting is wrong.
        SignatureRefused: the package is not signed with the key, or was changed since.
    """
    from nava.evaluation.run.arm import arm_sha256
    from nava.evaluation.run.campaign import make_outputs
    from nava.evaluation.run.steps import FOLDER, OUTPUTS, campaign_of
    from nava.runtime.hashing import sha256_json

    campaign = campaign_of(step)
    with _package(step) as package:
        model = _model(step, package)
        asked = [model.identity, campaign.task.sha256, campaign.seed, campaign.images, campaign.voices]
        key = sha256_json([*asked, campaign.generate_as])[:KEY_DIGITS]
        folder = step.run_dir / FOLDER / "outputs" / key
        arms = make_outputs(campaign, model, folder, step.log)
    counts = {arm.name: {"clips": len(arm.files), "without": len(arm.reasons)} for arm in arms}
    sha256 = sha256_json([arm_sha256(arm) for arm in arms])
    return Handle(OUTPUTS, str(folder.resolve()), sha256, {"arms": counts, "package_sha256": package.sha256})


@contextmanager
def _package(step: Step) -> Iterator[ModelPackage]:
    """The package, its signature verified unless the configuration says otherwise."""
    from nava.artifacts.model_package import load_package, load_unsigned
    from nava.registry.package_store import fetch_package

    config = step.section(BenchmarkConfig)
    if config.package:
        folder = Path(config.package).expanduser()
        yield load_unsigned(folder) if config.unsigned else load_package(folder, Path(config.public_key).expanduser())
        return
    champion = champion_package(step.run_dir, step.section(RegistryConfig))
    with tempfile.TemporaryDirectory(prefix="nava-package-") as cache:
        yield load_package(fetch_package(champion.uri, Path(cache)), champion.public_key, champion.sha256)


def _model(step: Step, package: ModelPackage) -> EvaluatedModel:
    from functools import partial

    from nava.evaluation.run.model import package_model
    from nava.generation.device import device_named, dtype_named
    from nava.generation.loading import load_generator
    from nava.generation.request import SamplerOverrides

    config = step.section(BenchmarkConfig)
    device = device_named(config.device)
    dtype = dtype_named(config.dtype, device)
    load = partial(
        load_generator,
        weights=config.weights or None,
        device=device,
        dtype=dtype,
        cache=step.run_dir / "weights",
    )
    return package_model(package, load, SamplerOverrides(steps=config.sampling_steps), config.model, dtype)
