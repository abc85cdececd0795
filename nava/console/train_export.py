"""What `nava train export` does: the result of a stage becomes a signed model package."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nava.console.output_paths import require_new
from nava.runtime.errors import InputError

_CARD = """\
---
license: {licence}
pipeline_tag: text-to-video
tags: [audio-video, flow-matching, nava]
---

# {name}

Joint audio and video from one text prompt: stage {stage} of recipe {recipe}, {steps} steps, averaged weights.

## How well it does

Validation loss on {split} clips, fixed noise: {first:.4f} before the stage, {last:.4f} after it. Nothing else was
measured on this package; evaluate it before you rely on it.

## Intended use

Short clips with matching sound, from the kind of prompts it was trained on; for research. Not for footage that could be
taken for a record of real people or events, and not for decisions about people.

## Licences

- Weights: {licence}.

## Before you load it

`signature.json` covers every other file (OpenSSF model signing). Verify it with the public key of whoever gave you this
package; `nava.artifacts.model_package.load_package` does, before it opens anything else.
"""


@dataclass(frozen=True)
class ExportedPackage:
    """Its content address, and the key to verify it with."""

    sha256: str
    public_key: Path


def export_package(folder: Path, output: Path, *, name: str, licence: str, key_dir: Path) -> ExportedPackage:
    """Make a package of a run's result.

    Args:
        folder: of the run.
        output: the new package.
        name: of the model.
        licence: SPDX id of the weights' licence.
        key_dir: where the signing key is, or is made.

    Raises:
        InputError: the run has no result that verifies, the shards it was trained on are gone, or output exists.
    """
    from nava.artifacts.checkpoint import CheckpointDamagedError, verify
    from nava.artifacts.latent_shard import CODEC_FOLDER, KIND
    from nava.artifacts.model_package import sign_package, write_package
    from nava.artifacts.signature import ensure_signing_key
    from nava.config.generation import GenerationConfig
    from nava.registry.package_step import generation_settings
    from nava.runtime.handle import Handle
    from nava.runtime.hashing import sha256_path
    from nava.runtime.step import typed_section
    from nava.runtime.storage import atomic_folder, read_json
    from nava.training.job_file import read_job
    from nava.training.run_folder import JOB_FILE, RESULT_FOLDER

    require_new(output)
    job, result = read_job(folder / JOB_FILE), folder / RESULT_FOLDER
    if not result.is_dir():
        raise InputError(f"{folder} has no result yet: `nava train status {folder}` says how far it is")
    try:
        manifest = verify(result)
    except CheckpointDamagedError as error:
        raise InputError(f"{result} is damaged: {error}; remove it and run the same `nava train run` again") from error
    shards = _shards_folder(job.shards, job.config)
    validation = read_json(result / "validation.json")
    facts: dict[str, Any] = {"recipe": job.recipe, "stage": job.stage, "steps": manifest.step}
    splits = "held-out" if set(validation["split"].values()) == {"heldout"} else "partly training"
    card = _CARD.format(
        name=name,
        licence=licence,
        split=splits,
        first=validation["first"]["total"],
        last=validation["last"]["total"],
        **facts,
    )
    with atomic_folder(output) as part:
        sha256 = write_package(
            part,
            checkpoint=result,
            codec=shards / CODEC_FOLDER,
            generation=generation_settings(
                Handle(KIND, str(shards), job.inputs["shards"]),
                typed_section(GenerationConfig, job.config["generation"]),
            ),
            card=card,
            model_name=name,
            licence=licence,
            sources={"checkpoint": sha256_path(result), "shards": job.inputs["shards"]},
        )
        key = ensure_signing_key(key_dir)
        sign_package(part, key)
    return ExportedPackage(sha256, key.public)


def _shards_folder(location: str, config: dict[str, Any]) -> Path:
    from nava.artifacts.latent_shard import INDEX_FILE
    from nava.config.loader import LoaderConfig
    from nava.data.loader.cache import ShardCache
    from nava.data.shard_set import fetched_set, is_remote
    from nava.runtime.step import typed_section

    if is_remote(location):
        return fetched_set(location, ShardCache.of(typed_section(LoaderConfig, config["loader"])).folder)
    if not (Path(location) / INDEX_FILE).is_file():
        raise InputError(f"the latent shards it was trained on, whose codecs go along, are not at {location} any more")
    return Path(location)
