"""A unit of extraction: one file and the backends that look at it, in a worker process that may die."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nava.evaluation.extraction.clip_file import ClipFile
from nava.evaluation.extraction.extractor import Extractor, make_extractor
from nava.evaluation.extraction.features import UNMEASURABLE, Features, UnmeasurableError, write_features
from nava.runtime.errors import InputError

Settings = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Wanted:
    """Features of a file that are not in the cache.

    Attributes:
        backend: who finds them.
        target: the file that they go to.
        settings: of the backend, as pairs.
    """

    backend: str
    target: Path
    settings: Settings = ()


@dataclass(frozen=True)
class ExtractionUnit:
    """One file, so that it is decoded once for all backends."""

    media: Path
    wanted: tuple[Wanted, ...]


@dataclass(frozen=True)
class Extracted:
    """What became of one backend's features: seconds, and why there are none."""

    backend: str
    seconds: float
    reason: str = ""


def loaded(backend: str, settings: Settings = ()) -> Extractor:
    """A backend of this process. InputError if it cannot be had, and at once when it is asked for again."""
    found = _loaded(backend, settings)
    if isinstance(found, InputError):
        raise found
    return found


@cache
def _loaded(backend: str, settings: Settings) -> Extractor | InputError:
    try:
        return make_extractor(backend, dict(settings))
    except InputError as error:
        return error


def extract(unit: ExtractionUnit) -> list[Extracted]:
    """Find and write the features of a file; what cannot be measured is said, what goes wrong in a backend too."""
    clip = ClipFile(unit.media)
    return [_extracted(clip, wanted) for wanted in unit.wanted]


def _extracted(clip: ClipFile, wanted: Wanted) -> Extracted:
    since = time.perf_counter()
    wanted.target.parent.mkdir(parents=True, exist_ok=True)
    reason = ""
    try:
        write_features(wanted.target, loaded(wanted.backend, wanted.settings).extract(clip))
    except UnmeasurableError as error:
        # So it is with this file whoever asks again.
        reason = str(error)
        write_features(wanted.target, Features({UNMEASURABLE: reason}))
    except InputError as error:
        # The backend cannot be had: its weights are missing, or others than stated.
        reason = str(error)
    # Libraries fail on strange files in ways of their own; the next file is none of their business.
    except Exception as error:
        reason = f"{wanted.backend} failed: {type(error).__name__}: {' '.join(str(error).split())}"
    return Extracted(wanted.backend, time.perf_counter() - since, reason)
