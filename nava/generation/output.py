"""Finished work on disk: the media file, and beside it the sidecar that says how it was made and that it is whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nava.generation.pipeline import GeneratedClip, Generator
from nava.generation.plan import Plan
from nava.generation.provenance import container_tags, record, request_sha256
from nava.generation.request import Request
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file
from nava.runtime.storage import write_json

VIDEO_SUFFIX, SOUND_SUFFIX, SIDECAR_SUFFIX = ".mp4", ".wav", ".json"


def sidecar_path(path: Path) -> Path:
    """The sidecar of a media file: the same name, ending in `.json`."""
    return path.with_suffix(SIDECAR_SUFFIX)


def check_output(path: Path, *, pictures: bool) -> None:
    """Refuse a name that says another format than the clip will have.

    Raises:
        InputError: the name does not end in .mp4, or in .wav for sound alone; or it is a folder.
    """
    suffix = path.suffix.lower()
    if suffix not in (VIDEO_SUFFIX, SOUND_SUFFIX):
        raise InputError(f"output: '{path.name}' must end in {VIDEO_SUFFIX}, or in {SOUND_SUFFIX} for sound alone")
    if pictures and suffix == SOUND_SUFFIX:
        raise InputError(f"output: '{path.name}' is a WAV file, which holds no pictures; name an {VIDEO_SUFFIX}")
    if path.is_dir():
        raise InputError(f"output: {path} is a folder; name a file")


def check_overwriting(path: Path, request: Request) -> None:
    """Refuse an output that would take the place of something else than an earlier output.

    Raises:
        InputError: it is the request's own image or voice, or a JSON file that is no sidecar lies where its will go.
    """
    inputs = [request.image, *(voice.path for voice in request.voices)]
    if path.resolve() in {file.resolve() for file in inputs if file is not None}:
        raise InputError(f"output: {path} is an input of the same request; name another file")
    sidecar = sidecar_path(path)
    if sidecar.is_file() and "request_sha256" not in _read_sidecar(sidecar):
        raise InputError(f"output: {sidecar} would be replaced, and it is not of an earlier clip; name another file")


def is_finished(path: Path, plan: Plan, generator: Generator) -> bool:
    """Whether a media file is there, whole, and made for exactly this request by exactly this package."""
    sidecar = _read_sidecar(sidecar_path(path))
    if sidecar.get("request_sha256") != request_sha256(plan, generator.origin, generator.fps):
        return False
    return path.is_file() and sidecar.get("sha256") == sha256_file(path)


def write_output(clip: GeneratedClip, path: Path, generator: Generator) -> dict[str, Any]:
    """Write the media file, then the sidecar: who finds the sidecar finds a whole media file.

    Returns:
        What the sidecar says.
    """
    assert clip.plan is not None
    provenance = record(clip.plan, generator.origin, generator.fps)
    clip.write(path, tags=container_tags(provenance))
    sidecar = provenance | {"file": path.name, "sha256": sha256_file(path), "clip": _measures(clip)}
    write_json(sidecar_path(path), sidecar)
    return sidecar


def _read_sidecar(path: Path) -> dict[str, Any]:
    """What a sidecar says; nothing for a file that is none."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


def _measures(clip: GeneratedClip) -> dict[str, Any]:
    measures: dict[str, Any] = {}
    if clip.frames is not None:
        frames, height, width, _ = clip.frames.shape
        measures |= {"frames": frames, "height": height, "width": width, "fps": clip.fps}
    if clip.samples is not None:
        samples = clip.samples.shape[-1]
        channels = 1 if clip.samples.ndim == 1 else len(clip.samples)
        measures |= {"samples": samples, "sample_rate_hz": clip.sample_rate, "channels": channels}
    return measures
