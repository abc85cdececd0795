"""Backends by name: what extracts which features, of which tier, in which environment."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.features import Features
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json, sha256_path


class Extractor(Protocol):
    """Finds features in a file.

    Attributes:
        version: raised whenever the same file gives other features; part of the cache's key.
        weights_sha256: of its weights; None without any.

    One whose weights are no part of a package has `needs_weights = True` and takes them by name.
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
        environment: where its worker runs, see `nava eval environment`; empty for this one.
    """

    name: str
    place: str
    packages: tuple[str, ...] = ()
    environment: str = ""

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

    def unavailable(self) -> str:
        """What it needs that is not here, and the command that brings it; empty if it is at hand."""
        from nava.evaluation.environments.recipe import why_not

        if missing := self.missing():
            return f"package {', '.join(missing)} is not installed: pip install {' '.join(missing)}"
        return why_not(self.environment) if self.environment else ""


_HERE = "nava.evaluation.extraction"
_BACKENDS = "nava.evaluation.backends"
_ELSEWHERE = "nava.evaluation.backends.environment_backends"
_MODELS = ("torch", "transformers")
_SYNCNET = "nava.evaluation.backends.syncnet_extractor"
_DINO = "nava.evaluation.backends.dino_identity"
_VERSE_BENCH = "nava.evaluation.backends.verse_bench_pictures"
_FACES = ("torch", "scipy", "opencv-python-headless")
_PICTURES = ("torch", "transformers", "pillow")
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
        ExtractorEntry("dnsmos", f"{_HERE}.dnsmos:Dnsmos", ("speechmos", "onnxruntime")),
        ExtractorEntry("rapidocr", f"{_HERE}.burnt_in_text:BurntInText", ("rapidocr",)),
        ExtractorEntry("pocketsphinx", f"{_HERE}.pocketsphinx_words:Pocketsphinx", ("pocketsphinx",)),
        ExtractorEntry("whisper_large_v3", f"{_BACKENDS}.whisper_words:WhisperLargeV3", (*_MODELS, "scipy")),
        ExtractorEntry("wavlm_large_ecapa", f"{_BACKENDS}.wavlm_ecapa:WavlmEcapa", _MODELS),
        ExtractorEntry("audiobox_aesthetics", f"{_BACKENDS}.audiobox:AudioboxAesthetics", _MODELS),
        ExtractorEntry("clap_630k_fusion", f"{_BACKENDS}.clap:Clap630kFusion", _MODELS),
        ExtractorEntry("passt", f"{_BACKENDS}.passt:Passt", ("torch",)),
        ExtractorEntry("passt_embedding", f"{_BACKENDS}.passt_embedding:PasstEmbedding", ("torch",)),
        ExtractorEntry("panns_cnn14_16k", f"{_BACKENDS}.panns:PannsCnn14", ("torch",)),
        ExtractorEntry("vggish", f"{_BACKENDS}.vggish:Vggish", ("torch",)),
        ExtractorEntry("resemblyzer", f"{_ELSEWHERE}:Resemblyzer", environment="resemblyzer"),
        ExtractorEntry("paraformer_zh", f"{_ELSEWHERE}:ParaformerZh", environment="funasr"),
        ExtractorEntry("sensevoice_small", f"{_ELSEWHERE}:SensevoiceSmall", environment="funasr"),
        ExtractorEntry("synchformer", f"{_BACKENDS}.synchformer:Synchformer", ("torch",)),
        ExtractorEntry("imagebind_huge_official", f"{_BACKENDS}.imagebind:ImageBindOfficial", ("torch",)),
        ExtractorEntry("imagebind_huge_avbench", f"{_BACKENDS}.imagebind:ImageBindAvbench", ("torch",)),
        ExtractorEntry("syncnet_official", f"{_SYNCNET}:SyncNetOfficial", (*_FACES, "scenedetect-headless")),
        ExtractorEntry("syncnet_mova", f"{_SYNCNET}:SyncNetMova", (*_FACES, "scenedetect-headless")),
        ExtractorEntry("syncnet_verse_bench", f"{_SYNCNET}:SyncNetVerseBench", (*_FACES, "onnxruntime")),
        ExtractorEntry("dinov3_vitl16_token_minus_2", f"{_DINO}:DinoV3TokenMinus2", _PICTURES),
        ExtractorEntry("dinov3_vitl16_cls", f"{_DINO}:DinoV3Cls", _PICTURES),
        ExtractorEntry("verse_bench_aesthetic", f"{_VERSE_BENCH}:VerseBenchAesthetic", _PICTURES),
        ExtractorEntry("verse_bench_video_quality", f"{_VERSE_BENCH}:VerseBenchVideoQuality", _PICTURES),
    )
}


def make_extractor(name: str, settings: Mapping[str, str] | None = None) -> Extractor:
    """A backend, loaded.

    Args:
        name: one of `ENTRIES`.
        settings: of a backend with weights: `weights`, where they are; `sha256`, what they must be; `device`.

    Raises:
        InputError: there is none of that name, a package is missing, or its weights are missing or others.
    """
    if reason := entry_of(name).unavailable():
        raise InputError(f"backend {name} cannot be had: {reason}")
    made: Extractor = _class_of(name)(**(settings or {}))
    return made


def entry_of(name: str) -> ExtractorEntry:
    """Where a backend is. InputError lists those that there are."""
    if name not in ENTRIES:
        raise InputError(f"there is no backend {name!r} here; there are {', '.join(ENTRIES)}")
    return ENTRIES[name]


def needs_weights(name: str) -> bool:
    """Whether a backend has to be told where its weights are."""
    return bool(getattr(_class_of(name), "needs_weights", False))


@cache
def identity(name: str, settings: tuple[tuple[str, str], ...] = ()) -> str:
    """What decides the features of a file, besides the file: backend, version, and the bytes of its weights.

    The weights are hashed, not loaded. InputError if they are not there.
    """
    kind, weights = _class_of(name), dict(settings).get("weights")
    sha256 = _weights_sha256(name, Path(weights)) if weights else getattr(kind, "weights_sha256", None)
    key = {"backend": name, "version": kind.version, "weights": sha256}
    if environment := entry_of(name).environment:
        from nava.evaluation.environments.recipe import find_recipe

        # Other libraries there, or another worker, are other features.
        key["environment"] = find_recipe(environment).sha256
    return sha256_json(key)


def _weights_sha256(name: str, path: Path) -> str:
    if not path.exists():
        raise InputError(f"backend {name}: there are no weights at {path}")
    return sha256_path(path)


def _class_of(name: str) -> Any:
    module, _, kind = entry_of(name).place.partition(":")
    return getattr(importlib.import_module(module), kind)
