"""Timbre encoders: a recording of a voice becomes one vector, which takes the place of a slot in the text."""

from pathlib import Path
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from nava.artifacts.weight_files import missing
from nava.conditioning.description import load_described
from nava.conditioning.mel_statistics import MelStatisticsEncoder
from nava.conditioning.redimnet import TORCHSCRIPT, RedimnetEncoder
from nava.config.conditioning import ConditioningConfig
from nava.runtime.errors import InputError

KNOWN = (MelStatisticsEncoder.type_name, RedimnetEncoder.type_name)


class TimbreEncoder(Protocol):
    """Voices to vectors: N samples, E values."""

    width: int
    sample_rate_hz: int

    @property
    def identity(self) -> str:
        """sha256 of what the encoder is: equal identities encode equally."""
        ...

    def encode(self, samples_N: Tensor) -> Tensor:
        """Float32 [E] from float samples [N] at ``sample_rate_hz``, or [C, N] whose channels are averaged.

        Raises:
            InputError: shorter than 1 s, silent or not finite.
        """
        ...

    def save(self, directory: Path) -> None:
        """Write what ``load_timbre_encoder`` needs."""
        ...

    def to(self, device: str | torch.device) -> Self:
        """Move what the encoder computes with, if it has any."""
        ...


def build_timbre_encoder(config: ConditioningConfig) -> TimbreEncoder | None:
    """The encoder that ``config.timbre_encoder`` names, or None for "none".

    Raises:
        InputError: unknown name, or weights that are missing or cannot be read.
    """
    match config.timbre_encoder:
        case "none":
            return None
        case MelStatisticsEncoder.type_name:
            return MelStatisticsEncoder()
        case RedimnetEncoder.type_name:
            cache = Path(config.weights_cache) if config.weights_cache else None
            return RedimnetEncoder.open(_given(config.timbre_weights), cache)
    raise _unknown(config.timbre_encoder)


def load_timbre_encoder(
    directory: Path, weights: str | Path | None = None, *, cache: Path | None = None
) -> TimbreEncoder:
    """Read what ``save`` wrote and verify its identity.

    Args:
        directory: holds ``config.json``.
        weights: where the weights are, for encoders that have any: file, folder, hub mirror or bucket address.
        cache: where files of a bucket are kept.

    Raises:
        InputError: no encoder there, of an unknown type, or edited since it was written; weights missing or others.
    """
    return load_described(directory, "timbre encoder", lambda config: _load(config, weights, cache))


def _load(config: dict[str, Any], weights: str | Path | None, cache: Path | None) -> TimbreEncoder:
    match config["type"]:
        case MelStatisticsEncoder.type_name:
            return MelStatisticsEncoder()
        case RedimnetEncoder.type_name:
            return RedimnetEncoder.load(config, _given(weights), cache)
    raise _unknown(config["type"])


def _given(weights: str | Path | None) -> str | Path:
    """A location that must not be empty."""
    if not weights:
        raise InputError(missing(TORCHSCRIPT, "") + " (setting conditioning.timbre_weights)")
    return weights


def _unknown(name: str) -> InputError:
    return InputError(f"unknown timbre encoder '{name}'; known encoders: {', '.join(KNOWN)}")
