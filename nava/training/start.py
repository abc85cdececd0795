"""Weights that a stage starts from: a model package, a stage's result, or a file with the released names."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from nava.artifacts.checkpoint import CheckpointDamagedError, verify
from nava.artifacts.model_package import DESCRIPTION_FILE, load_unsigned
from nava.artifacts.weight_files import INDEX_SUFFIX, shard_map
from nava.config.model import ModelConfig
from nava.model.backbone import NavaTransformer
from nava.model.keys import config_of
from nava.model.weights.load import load_weights
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file, sha256_json

WEIGHTS_FILE = "model.safetensors"
RESULT_CONFIG_FILE = "model_config.json"


def start_weights(place: Path, model: NavaTransformer, config: ModelConfig) -> None:
    """Give a model the weights of a package, of a result (its averaged ones), or of a file.

    Args:
        place: as given with `--init`.
        model: is filled, in float32.
        config: the recipe's architecture.

    Raises:
        InputError: it is none of these, it is damaged, or it is of another architecture.
    """
    weights, described = weights_of(place)
    if described is not None:
        require_same_model(config_of(None, described), config, f"--init {place}")
    load_weights(model, weights, dtype=next(model.parameters()).dtype)


def weights_of(place: Path) -> tuple[Path, Path | None]:
    """The weights to read and the file that describes their architecture, if there is one; all files are verified.

    Raises:
        InputError: there is nothing to start from, or it is damaged.
    """
    if not place.exists():
        raise InputError(f"--init {place}: there is nothing there")
    if (place / DESCRIPTION_FILE).is_file():
        package = load_unsigned(place)
        return package.weights, package.model_config
    if (place / RESULT_CONFIG_FILE).is_file():
        try:
            verify(place)
        except CheckpointDamagedError as error:
            raise InputError(f"--init {place}: the result is damaged: {error}") from error
        return place / WEIGHTS_FILE, place / RESULT_CONFIG_FILE
    return place, None


def init_sha256(place: Path) -> str:
    """What tells two starts apart: a hash of the files that hold the weights.

    Raises:
        InputError: see `weights_of`.
    """
    weights, _ = weights_of(place)
    if weights.name.endswith(INDEX_SUFFIX):
        files = sorted({weights.parent / name for name in shard_map(weights).values()})
    else:
        files = sorted(weights.glob("*.safetensors")) if weights.is_dir() else [weights]
    if not files:
        raise InputError(f"--init {place}: no package, no result of a stage and no safetensors file")
    return sha256_json([sha256_file(file) for file in files])


def require_same_model(found: ModelConfig, wanted: ModelConfig, where: str) -> None:
    """Refuse weights of another architecture, also where the shapes of the weights would not tell.

    Args:
        found: of the weights.
        wanted: the recipe's.
        where: the weights are, for the message.

    Raises:
        InputError: names the first setting that differs.
    """
    theirs, ours = asdict(found), asdict(wanted)
    for name, value in theirs.items():
        # How a new model would be initialised does not matter to one that has weights.
        if name not in ("zero_init_heads", "temporal_bias") and _plain(value) != _plain(ours[name]):
            raise InputError(
                f"{where}: its model has {name} {value}, the recipe's has {ours[name]}; set model.{name}={value}"
            )


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
