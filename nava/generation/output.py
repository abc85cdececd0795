"""Finished work on disk: the media file, and beside it the sidecar that says how it was made and that it is whole."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
# What file systems take, less what the names of the sidecar and of its temporary file add: `.NAME.json.01234567.part`.
MAX_NAME_BYTES = 255 - 20
# In the sidecar while the media file is being replaced, so that after a kill it is still known whose it is.
_UNFINISHED = "unfinished"


def sidecar_path(path: Path) -> Path:
    """The sidecar of a media file: `clip.mp4.json` of `clip.mp4`, so that `clip.wav` has another one."""
    return path.with_name(path.name + SIDECAR_SUFFIX)


def check_output(path: Path, *, pictures: bool) -> None:
    """Refuse a name that says another format than the clip will have, or that no file can have.

    Raises:
        InputError: the name does not end in .mp4, or in .wav for sound alone; it is a folder, or not a possible path.
    """
    _check_path(path)
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
        InputError: it is the request's own image or voice; there is a file that no sidecar beside it describes by name
            and hash; or a JSON file that is not its sidecar lies where that will go.
    """
    inputs = [request.image, *(voice.path for voice in request.voices)]
    if _resolved(path) in {_resolved(file) for file in inputs if file is not None}:
        raise InputError(f"output: {path} is an input of the same request; name another file")
    sidecar = sidecar_path(path)
    described = _read_sidecar(sidecar)
    if sidecar.exists() and not ("request_sha256" in described and described.get("file") == path.name):
        raise InputError(
            f"output: {sidecar} would be replaced, and it is not of an earlier clip of that name; "
            "move it away, or name another file"
        )
    if path.exists() and not (described.get(_UNFINISHED) is True or _is_described(path, described)):
        raise InputError(
            f"output: {path} would be replaced, and no {sidecar.name} says that it is an earlier clip, unchanged "
            "since; move it away, or name another file"
        )


def is_finished(path: Path, plan: Plan, generator: Generator) -> bool:
    """Whether a media file is there, whole, and made for exactly this request by exactly this package."""
    sidecar = _read_sidecar(sidecar_path(path))
    if sidecar.get("request_sha256") != request_sha256(plan, generator.origin, generator.fps):
        return False
    return _is_described(path, sidecar)


def write_output(clip: GeneratedClip, path: Path, generator: Generator) -> dict[str, Any]:
    """Write the media file, then the sidecar: who finds a sidecar with its hash finds a whole media file.

    Returns:
        What the sidecar says.

    Raises:
        InputError: something else than an earlier output would be replaced (see `check_overwriting`).
    """
    assert clip.plan is not None
    check_overwriting(path, clip.plan.request)
    sidecar = sidecar_path(path)
    provenance = record(clip.plan, generator.origin, generator.fps)
    # An earlier clip keeps its own description until it is replaced.
    previous = _read_sidecar(sidecar)
    write_json(sidecar, (previous or provenance) | {"file": path.name, _UNFINISHED: True})
    try:
        clip.write(path, tags=container_tags(provenance))
    except BaseException:
        if _is_described(path, previous):
            write_json(sidecar, previous)
        elif not path.exists():
            sidecar.unlink(missing_ok=True)
        raise
    described = provenance | {"file": path.name, "sha256": sha256_file(path), "clip": _measures(clip)}
    write_json(sidecar, described)
    return described


def _check_path(path: Path) -> None:
    try:
        if "\0" in str(path):
            raise ValueError("there is a NUL in it")
        if len(path.name.encode()) > MAX_NAME_BYTES:
            raise ValueError(f"its name is longer than {MAX_NAME_BYTES} bytes")
        path.exists()
    except UnicodeEncodeError as error:
        raise InputError(f"output: {path.name!r} is no text in UTF-8; name another file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"output: {str(path)!r} is not a possible path: {reason}; name another file") from error


def _resolved(path: Path) -> Path:
    """Where a path leads; one that leads nowhere is left as it is, and refused where it is opened."""
    try:
        return path.resolve()
    except (OSError, ValueError, RuntimeError):
        return path


def _is_described(path: Path, sidecar: Mapping[str, Any]) -> bool:
    """Whether a sidecar is of this very file as it is now."""
    return sidecar.get("file") == path.name and path.is_file() and sidecar.get("sha256") == sha256_file(path)


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
