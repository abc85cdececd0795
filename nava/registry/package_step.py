"""Builds, signs and publishes the model package of a registered version."""

import tempfile
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nava.artifacts import evaluation_result, latent_shard
from nava.artifacts.model_package import KIND, write_package
from nava.artifacts.model_version import read_model_version
from nava.artifacts.signature import ensure_signing_key
from nava.config.generation import GenerationConfig
from nava.config.registry import RegistryConfig
from nava.latents.length import AUDIO_LATENTS_PER_S, frames_of_latents
from nava.registry.mlflow_registry import (
    EVALUATION_ARTIFACT,
    PACKAGE_SHA256_TAG,
    PACKAGE_URI_TAG,
    SIGNING_KEY_TAG,
    MlflowRegistry,
)
from nava.registry.model_card import model_card
from nava.registry.package_store import key_directory, package_root, publish_package
from nava.runtime.errors import InputError, NavaError
from nava.runtime.handle import Handle
from nava.runtime.step import Step
from nava.runtime.storage import atomic_folder

# Curation brings every clip to this rate.
FRAME_RATE = 24.0


def package(step: Step, model_version: Handle, checkpoint: Handle, shards: Handle) -> Handle:
    """The signed package of a version; the registry's version gets its address and hash as tags.

    Returns:
        Handle of kind `model_package`: its hash leaves the signature out; meta has the `public_key` to verify with.

    Raises:
        InputError: checkpoint or shards are not those that the version was registered from.
        NavaError: the registry has lost the version.
    """
    config = step.section(RegistryConfig)
    version = read_model_version(model_version)
    for name, handle in (("checkpoint", checkpoint), ("shards", shards)):
        if handle.sha256 != version.evidence[name]:
            raise InputError(f"{version.label} was registered from another {name} than {handle.uri}")
    registry = MlflowRegistry(config, step.run_dir)
    if registry.version(version.version) is None:
        raise NavaError(
            f"the registry has lost {version.label}: delete {model_version.path.parent} to register it again"
        )
    with tempfile.TemporaryDirectory() as scratch:
        evaluation = evaluation_result.read(registry.download(version.run_id, EVALUATION_ARTIFACT, Path(scratch)))
    sources = {name: version.evidence[name] for name in ("checkpoint", "corpus", "evaluation", "shards")}
    built = step.workdir / "package"
    with atomic_folder(built) as part:
        sha256 = write_package(
            part,
            checkpoint=checkpoint.require("checkpoint").path,
            codec=shards.path / latent_shard.CODEC_FOLDER,
            generation=generation_settings(shards, step.section(GenerationConfig)),
            card=model_card(version.name, config.licence, evaluation, sources),
            model_name=version.name,
            licence=config.licence,
            sources=sources,
        )
    key = ensure_signing_key(key_directory(config, step.run_dir))
    uri = publish_package(built, package_root(config, step.run_dir), key)
    tags = {PACKAGE_URI_TAG: uri, PACKAGE_SHA256_TAG: sha256, SIGNING_KEY_TAG: key.fingerprint}
    registry.tag_version(version.version, tags)
    step.log(f"package of {version.label}: {uri}")
    meta = {"public_key": str(key.public.resolve()), "signing_key_sha256": key.fingerprint, "version": version.version}
    return Handle(KIND, uri, sha256, meta)


def generation_settings(shards: Handle, sampler: GenerationConfig) -> dict[str, Any]:
    """What a service needs beside the weights: the size of the clips that the model was trained on, and the sampler.

    Of several sizes the most frequent one counts; `video_shape` is None for a corpus of sound alone. The longest clip
    is as long as those of that size.
    """
    entries = latent_shard.read_index(shards.require(latent_shard.KIND).path)
    pictured = [entry for entry in entries if entry.video_shape is not None] or entries
    sizes = Counter((entry.video_shape, entry.audio_shape) for entry in pictured)
    (video_shape, audio_shape), _ = min(sizes.items(), key=lambda item: (-item[1], str(item[0])))
    length_s = (
        audio_shape[0] / AUDIO_LATENTS_PER_S if video_shape is None else frames_of_latents(video_shape[1]) / FRAME_RATE
    )
    return {
        "fps": FRAME_RATE,
        "max_seconds": round(length_s, 3),
        "video_shape": None if video_shape is None else list(video_shape),
        "audio_shape": list(audio_shape),
        "sampler": asdict(sampler),
    }
