"""Where a clip comes from: what is written into its metadata and into the JSON file beside it.

Nothing of it depends on time or place, so that equal requests give equal files.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from nava.conditioning.voices import Voice
from nava.generation.plan import Plan
from nava.runtime.hashing import canonical_json, sha256_bytes, sha256_file, sha256_json

SCHEMA_VERSION = 1
LIBRARIES = ("nava", "torch", "numpy", "av", "safetensors", "diffusers", "transformers")
# Settings that do not say what a clip looks like: requests have seeds of their own, and batches differ by rounding.
_NOT_OF_THE_CLIP = ("seed", "batch_size", "batch_passes")


@dataclass(frozen=True)
class Origin:
    """What a generator was loaded from.

    Attributes:
        name: of the model.
        package_sha256: content address of the package.
        weights_sha256: hash of the weight file, or of the list of its parts.
        licence: SPDX id of the weights' licence.
        precision: number format that the transformer computes with.
        parts: identities of codecs and encoders.
    """

    name: str = ""
    package_sha256: str = ""
    weights_sha256: str = ""
    licence: str = ""
    precision: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)


def request_sha256(plan: Plan, origin: Origin, fps: float) -> str:
    """What a finished clip is recognised by: everything that decides what is in it, the files by their content."""
    return sha256_json(
        {
            "schema_version": SCHEMA_VERSION,
            "prompt": plan.request.prompt,
            "negative_prompt": plan.negative_prompt,
            "task": str(plan.task),
            "seed": plan.request.seed,
            "image": None if plan.request.image is None else sha256_file(plan.request.image),
            "voices": [_voice(voice)["sha256"] for voice in plan.voices],
            "sampler": _settings(plan),
            "video_shape": plan.video_shape,
            "audio_shape": plan.audio_shape,
            "size": plan.size,
            "seconds": plan.seconds,
            "fps": fps,
            "weights_sha256": origin.weights_sha256,
            "package_sha256": origin.package_sha256,
            "precision": origin.precision,
            "parts": dict(origin.parts),
        }
    )


def record(plan: Plan, origin: Origin, fps: float) -> dict[str, Any]:
    """The provenance of a clip, without what is known of the file only after it is written."""
    return {
        "schema_version": SCHEMA_VERSION,
        **_asked(plan),
        "sampler": _settings(plan),
        "model": asdict(origin),
        "libraries": library_versions(),
        "request_sha256": request_sha256(plan, origin, fps),
    }


def container_tags(provenance: Mapping[str, Any]) -> dict[str, str]:
    """Metadata of the media file itself: the prompt as its title, the rest in the comment, as JSON."""
    comment = {
        "generator": f"nava {provenance['libraries']['nava']}",
        "generated_by_ai": True,
        "model": provenance["model"]["name"],
        "package_sha256": provenance["model"]["package_sha256"],
        "weights_sha256": provenance["model"]["weights_sha256"],
        "request_sha256": provenance["request_sha256"],
        "task": provenance["task"],
        "seed": provenance["seed"],
        "mode": provenance["sampler"]["mode"],
    }
    return {"title": " ".join(provenance["prompt"].split()), "comment": canonical_json(comment)}


def library_versions() -> dict[str, str]:
    """Versions of what generation runs on; libraries that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _asked(plan: Plan) -> dict[str, Any]:
    request = plan.request
    return {
        "prompt": request.prompt,
        "dropped_words": plan.dropped_words,
        "negative_prompt": plan.negative_prompt,
        "task": str(plan.task),
        "seed": request.seed,
        "image": None if request.image is None else _file(request.image),
        "voices": [_voice(voice) for voice in plan.voices],
    }


def _settings(plan: Plan) -> dict[str, Any]:
    return {name: value for name, value in asdict(plan.sampler).items() if name not in _NOT_OF_THE_CLIP}


def _voice(voice: Voice) -> dict[str, Any]:
    """A reference voice by its speaker and by the content of the file or tensor that it is."""
    if voice.path is not None:
        return {"name": voice.name, **_file(voice.path)}
    given = voice.samples if voice.samples is not None else voice.vector
    digest = None if given is None else sha256_bytes(given.detach().float().cpu().numpy().tobytes())
    return {"name": voice.name, "file": None, "sha256": digest}


def _file(path: Path) -> dict[str, Any]:
    """A file by name and content; where it lies is nobody's business."""
    # File systems allow names that are no UTF-8, JSON does not.
    name = path.name.encode(errors="backslashreplace").decode()
    return {"file": name, "sha256": sha256_file(path)}
