"""A verified model package becomes a generator: one call, on any machine."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from nava.artifacts.model_package import ModelPackage
from nava.config.generation import GenerationConfig, GuidanceScales
from nava.config.model import ModelConfig
from nava.generation.pipeline import Generator
from nava.runtime.errors import InputError
from nava.runtime.storage import read_json


@dataclass(frozen=True)
class LoadedModel:
    """A generator and the sampler settings that its package was evaluated with."""

    generator: Generator
    sampler: GenerationConfig


def load_model(package: ModelPackage) -> LoadedModel:
    """Load a package that `load_package` has verified.

    Raises:
        InputError: weights, codecs or settings do not fit together, or this release does not know them.
    """
    from safetensors.torch import load_file

    from nava.conditioning.text import load_text_encoder
    from nava.latents.registry import load_codecs
    from nava.model.backbone import NavaTransformer

    model = NavaTransformer(ModelConfig(**_known(package.model_config, ModelConfig)))
    try:
        model.load_state_dict(load_file(package.weights))
    except RuntimeError as error:
        raise InputError(f"the weights of {package.folder} do not fit its config.json: {error}") from error
    settings = read_json(package.generation)
    codecs = load_codecs(package.codec)
    video_shape = settings["video_shape"]
    generator = Generator(
        model=model.eval(),
        text_encoder=load_text_encoder(package.codec / "text"),
        video_codec=codecs.video,
        audio_codec=codecs.audio,
        video_shape=None if video_shape is None else tuple(video_shape),
        audio_shape=tuple(settings["audio_shape"]),
        fps=float(settings["fps"]),
    )
    return LoadedModel(generator, sampler_settings(settings["sampler"]))


def sampler_settings(value: dict[str, Any]) -> GenerationConfig:
    """Sampler settings from JSON. InputError for a setting that this release does not know."""
    known = {field.name for field in fields(GenerationConfig)}
    if unknown := set(value) - known:
        raise InputError(
            f"the package has sampler settings that this release does not know: {', '.join(sorted(unknown))}"
        )
    settings = dict(value)
    for modality in ("video", "audio"):
        if modality in settings:
            settings[modality] = GuidanceScales(**settings[modality])
    return GenerationConfig(**settings)


def _known(path: Path, schema: type) -> dict[str, Any]:
    """The JSON object of a configuration file. InputError for a setting that its schema lacks."""
    value: dict[str, Any] = read_json(path)
    if unknown := set(value) - {field.name for field in fields(schema)}:
        raise InputError(f"{path.name} has settings that this release does not know: {', '.join(sorted(unknown))}")
    return value
