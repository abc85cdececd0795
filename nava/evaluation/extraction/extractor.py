"""Backends by name: what extracts which features, of which tier, in which environment."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json


class Extractor(Protocol):
    """Finds features in a file.

    Attributes:
        version: raised whenever the same file gives other features; part of the cache's key.
        weights_sha256: of its weights; None without any.
    """

    version: int
    weights_sha256: str | None

    def extract(self, clip: ClipFile) -> Features:
        """The features of a file. UnmeasurableError says why there are none."""
        ...


@dataclass(frozen=True)
class ExtractorEntry:
    """Where a backend is.

    Attributes:
        name: as in manifests.
        place: ``module:Class``.
        packages: distributions that it needs besides; without them it is not at hand.
    """

    name: str
    place: str
    packages: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """Packages that are not installed."""
        from importlib.metadata import PackageNotFoundError, version

        absent = []
        for package in self.packages:
            try:
                version(package)
            except PackageNotFoundError:
                absent.append(package)
        return absent


_HERE = "nava.evaluation.extraction"
ENTRIES = {
    entry.name: entry
    for entry in (
        ExtractorEntry("waveform", f"{_HERE}.waveform:Waveform", ("pyloudnorm",)),
        ExtractorEntry("tracks", f"{_HERE}.tracks:Tracks"),
        ExtractorEntry("frames", f"{_HERE}.frames:Frames"),
        ExtractorEntry("colour_gradient", f"{_HERE}.appearance:ColourGradient"),
        ExtractorEntry("mel_moments", f"{_HERE}.mel_moments:MelMoments"),
        ExtractorEntry("mel_statistics", f"{_HERE}.voice:MelStatisticsVoice"),
        ExtractorEntry("silero_vad", f"{_HERE}.speech_activity:SileroVad", ("silero-vad",)),
        ExtractorEntry("rapidocr", f"{_HERE}.burnt_in_text:BurntInText", ("rapidocr",)),
        ExtractorEntry("pocketsphinx", f"{_HERE}.pocketsphinx_words:Pocketsphinx", ("pocketsphinx",)),
    )
}


def make_extractor(name: str, settings: Mapping[str, Any] | None = None) -> Extractor:
    """A backend, loaded.

    Raises:
        InputError: there is none of that name, a package is missing, or its weights are.
    """
    entry = ENTRIES.get(name)
    if entry is None:
        raise InputError(f"there is no backend {name!r} here; there are {', '.join(ENTRIES)}")
    if absent := entry.missing():
        raise InputError(f"backend {name} needs {', '.join(absent)}: pip install {' '.join(absent)}")
    module, _, kind = entry.place.partition(":")
    made: Extractor = getattr(importlib.import_module(module), kind)(**(settings or {}))
    return made


def identity(name: str, extractor: Extractor) -> str:
    """What decides the features of a file, besides the file."""
    return sha256_json({"backend": name, "version": extractor.version, "weights": extractor.weights_sha256})
