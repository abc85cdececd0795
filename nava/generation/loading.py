"""A model package becomes a generator: one call, on any machine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nava.artifacts.latent_shard import TEXT_FOLDER
from nava.artifacts.model_package import NEGATIVE_PROMPTS_FILE, ModelPackage, load_unsigned
from nava.config.generation import GenerationConfig, GuidanceScales
from nava.config.model import ModelConfig
from nava.generation.pipeline import DEFAULT_MAX_SECONDS, Generator
from nava.generation.provenance import Origin
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import read_json

if TYPE_CHECKING:
    import torch
    from torch import nn

    from nava.conditioning.timbre import TimbreEncoder

NEGATIVE_PROMPTS = ("video", "audio", "joint")
TIMBRE_FOLDER = "timbre"


def load_generator(
    package: Path | ModelPackage,
    weights: str | Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    *,
    cache: Path | None = None,
    fp8: bool = False,
    offload_group: int = 0,
    compile_blocks: bool = False,
) -> Generator:
    """Load everything that generation needs.

    Args:
        package: a package that `load_package` has verified; or a folder, whose files are compared with its own list
            only (`load_unsigned`).
        weights: where published weights lie that codecs and encoders refer to (see `nava.artifacts.weight_files`).
        device: where to compute.
        dtype: type of the transformer's weights; None keeps float32.
        cache: where files of a bucket are kept.
        fp8: hold the blocks' linear maps in eight bits, rounding them where they are stored wider.
        offload_group: keep the transformer's blocks on the host and bring so many at a time to the device; 0 keeps all
            there. The text encoder then computes on the host too.
        compile_blocks: compile the transformer's blocks when they first run.

    Raises:
        InputError: weights, codecs or settings do not fit together, are missing, or this release does not know them.
    """
    import torch

    from nava.conditioning.text import load_text_encoder
    from nava.latents.registry import load_codecs, placed
    from nava.model.compilation import compile_model
    from nava.model.keys import config_of
    from nava.model.offload import offload_blocks

    if offload_group and compile_blocks:
        raise InputError("offload: blocks that come and go cannot be compiled; give --offload or --compile, not both")
    if isinstance(package, Path):
        package = load_unsigned(package)
    config = config_of(None, package.model_config)
    settings = _settings(package)
    model = _load_model(package, config, "cpu" if offload_group else device, dtype, fp8, device)
    if offload_group:
        offload_blocks(model, device, offload_group)
    if compile_blocks:
        compile_model(model)
    codecs = load_codecs(package.codec, weights, cache)
    reader = "cpu" if offload_group else device
    text = load_text_encoder(package.codec / TEXT_FOLDER, weights, device=reader, cache=cache)
    timbre = _timbre(package, weights, cache)
    sizes = PartSizes(
        codecs.video.channels, codecs.audio.channels, text.rows, text.width, None if timbre is None else timbre.width
    )
    check_fit(package.folder, config, sizes)
    identities = {**codecs.identities, TEXT_FOLDER: text.identity}
    if timbre is not None:
        identities[TIMBRE_FOLDER] = timbre.identity
    return Generator(
        model=model,
        text_encoder=text,
        video_codec=placed(codecs.video, device),
        audio_codec=placed(codecs.audio, device),
        video_shape=_shape(settings["video_shape"]),
        audio_shape=_shape(settings["audio_shape"]),
        fps=float(settings["fps"]),
        sampler=sampler_settings(settings["sampler"]),
        timbre_encoder=timbre,
        speech_slots=config.speaker_dim > 0,
        max_seconds=float(settings.get("max_seconds") or DEFAULT_MAX_SECONDS),
        negative_prompts=_negative_prompts(package, weights),
        device=torch.device(device),
        origin=_origin(
            package, identities, ("fp8+" if fp8 else "") + str(dtype or torch.float32).removeprefix("torch.")
        ),
    )


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
            try:
                settings[modality] = GuidanceScales(**settings[modality])
            except TypeError as error:
                raise InputError(
                    f"the package's sampler settings of {modality} are not of this release: {error}"
                ) from error
    return GenerationConfig(**settings)


def _load_model(
    package: ModelPackage,
    config: ModelConfig,
    home: str | torch.device,
    dtype: torch.dtype | None,
    fp8: bool,
    device: str | torch.device,
) -> nn.Module:
    """The transformer with its weights at home; products in eight bits are those that `device` is best at."""
    import torch

    from nava.model.architecture import build_model
    from nava.model.fp8 import best_kernel, with_empty_fp8_
    from nava.model.weights.load import load_weights

    # On the meta device nothing is allocated: the tensors of the file become the model's own.
    model = build_model(config, device="meta")
    if fp8:
        with_empty_fp8_(model, best_kernel(torch.device(device)))
    try:
        load_weights(model, package.weights, device=home, dtype=dtype)
    except InputError as error:
        raise InputError(f"the weights of {package.folder} do not fit its config.json: {error}") from error
    return model.eval().requires_grad_(False)


@dataclass(frozen=True)
class PartSizes:
    """What codecs and encoders give. None is unknown (published weights that are not at hand), or there is no encoder.

    Attributes:
        video_channels: of the video codec's latents.
        audio_channels: of the audio codec's latents.
        text_rows: rows that the text encoder gives for a prompt.
        text_width: values in each row.
        timbre_width: values that the timbre encoder gives for a voice.
    """

    video_channels: int | None
    audio_channels: int | None
    text_rows: int
    text_width: int
    timbre_width: int | None


def check_fit(folder: Path, config: ModelConfig, sizes: PartSizes) -> None:
    """Refuse codecs and encoders that another model was trained with: the rules of packaging and of loading.

    Args:
        folder: what messages name.
        config: the model's architecture.
        sizes: what its codecs and encoders give.

    Raises:
        InputError: a size is not the model's.
    """
    for name, channels, wanted in (
        ("video", sizes.video_channels, config.video_channels),
        ("audio", sizes.audio_channels, config.audio_channels),
    ):
        if channels not in (None, wanted):
            raise InputError(f"{folder}: the {name} codec has {channels} channels, but the model takes {wanted}")
    # A voice's slot is counted in the model's rows; without voices the model fills up what is missing.
    fits = sizes.text_rows == config.text_len if config.speaker_dim else sizes.text_rows <= config.text_len
    if sizes.text_width != config.text_dim or not fits:
        raise InputError(
            f"{folder}: the text encoder gives {sizes.text_rows} rows of {sizes.text_width}, but the model takes "
            f"{config.text_len} of {config.text_dim}"
        )
    if sizes.timbre_width is not None and not config.speaker_dim:
        raise InputError(
            f"{folder}: the model has no timbre conditioning (speaker_dim 0): leave the timbre encoder out"
        )
    if sizes.timbre_width not in (None, config.speaker_dim):
        raise InputError(
            f"{folder}: the timbre encoder gives {sizes.timbre_width} values, but the model takes {config.speaker_dim}"
        )


def read_negative_prompts(file: Path) -> dict[str, str]:
    """The texts `video`, `audio` and `joint` of mode release. InputError where the file has another form."""
    try:
        value = read_json(file)
        texts = {name: value[name] for name in NEGATIVE_PROMPTS}
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} must be a JSON object with the keys {', '.join(NEGATIVE_PROMPTS)}") from error
    if not all(isinstance(text, str) for text in texts.values()):
        raise InputError(f"{file}: the values of {', '.join(NEGATIVE_PROMPTS)} must be text")
    return texts


def negative_prompts_beside(weights: str | Path) -> dict[str, str] | None:
    """The texts of mode release that lie in a folder of published weights, or beside a file of them; None if not."""
    if "://" in str(weights):
        return None
    place = Path(weights).expanduser()
    file = (place if place.is_dir() else place.parent) / NEGATIVE_PROMPTS_FILE
    return read_negative_prompts(file) if file.is_file() else None


def _shape(value: Any) -> Any:
    """A latent shape as JSON has it, or None."""
    return None if value is None else tuple(value)


def _timbre(package: ModelPackage, weights: str | Path | None, cache: Path | None) -> TimbreEncoder | None:
    from nava.conditioning.timbre import load_timbre_encoder

    folder = package.codec / TIMBRE_FOLDER
    return load_timbre_encoder(folder, weights, cache=cache) if folder.is_dir() else None


def _negative_prompts(package: ModelPackage, weights: str | Path | None) -> Mapping[str, str] | None:
    """The texts of mode release: the package's own, or those that lie beside the published weights."""
    if package.negative_prompts is not None:
        return read_negative_prompts(package.negative_prompts)
    return None if weights is None else negative_prompts_beside(weights)


def _settings(package: ModelPackage) -> dict[str, Any]:
    """``generation.json``. InputError where it lacks what every package has."""
    try:
        settings: dict[str, Any] = read_json(package.generation)
        missing = {"video_shape", "audio_shape", "fps", "sampler"} - settings.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{package.generation} cannot be read: {error}") from error
    if missing:
        raise InputError(f"{package.generation} lacks {', '.join(sorted(missing))}")
    return settings


def _origin(package: ModelPackage, identities: Mapping[str, str], precision: str) -> Origin:
    files = {name: digest for name, digest in package.description.files.items() if name.endswith(".safetensors")}
    own = {name: digest for name, digest in files.items() if not name.startswith(f"{package.codec.name}/")}
    return Origin(
        name=package.description.model_name,
        package_sha256=package.sha256,
        weights_sha256=next(iter(own.values())) if len(own) == 1 else sha256_json(own),
        licence=package.description.licence,
        precision=precision,
        parts=dict(identities),
    )
