"""What the serve check asks a running service, and what it holds the answers against."""

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import torch

from nava.artifacts.model_package import ModelPackage
from nava.config.serving import ServingConfig
from nava.generation.media import Media, read_mp4
from nava.latents.registry import load_codecs
from nava.runtime.errors import InputError
from nava.runtime.storage import read_json
from nava.serving.process import ServiceFailed, last_lines

SCHEMA_VERSION = 1
BAD_REQUEST: dict[str, Any] = {"prompt": "", "seed": -1}
OBSERVED = ("/livez", "/readyz", "/metrics")


@dataclass(frozen=True)
class ClipSize:
    """Size of a clip: frames, rows, columns and rate of the picture (0 without one), samples and rate of the sound."""

    frames: int
    height: int
    width: int
    fps: float
    samples: int
    sample_rate_hz: int


@dataclass(frozen=True)
class ServiceAnswers:
    """What came back.

    Attributes:
        report: what was asked and found; nothing in it depends on time or place.
        clip: the MP4 served.
        summary: one line for people.
        request_s: how long the clip took.
    """

    report: dict[str, Any]
    clip: bytes
    summary: str
    request_s: float


def expected_clip(package: ModelPackage, weights: str = "") -> ClipSize:
    """The size of the clips that a package makes, found by decoding empty latents with its own codecs.

    Args:
        package: a verified package.
        weights: where published weights lie, for a package that refers to some.
    """
    settings, codecs = read_json(package.generation), load_codecs(package.codec, weights or None)
    samples = codecs.audio.decode(torch.zeros(1, *settings["audio_shape"])).shape[-1]
    rate = codecs.audio.output_sample_rate_hz
    if settings["video_shape"] is None:
        return ClipSize(0, 0, 0, 0.0, samples, rate)
    _, frames, height, width, _ = codecs.video.decode(torch.zeros(1, *settings["video_shape"])).shape
    return ClipSize(frames, height, width, float(settings["fps"]), samples, rate)


def ask(url: str, config: ServingConfig, expected: ClipSize, package_sha256: str, log: Path) -> ServiceAnswers:
    """Ask for a clip, decode it, send a request that must be refused, and look at the service's own endpoints.

    Raises:
        ServiceFailed: an answer is not what it must be; says which, and ends with the service's log.
    """
    request: dict[str, Any] = {"prompt": config.prompt, "seed": config.seed}
    if config.sampling_steps is not None:
        request["steps"] = config.sampling_steps
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=config.request_timeout_s) as client:
            started = time.monotonic()
            answer = client.post("/generate", json=request)
            seconds = round(time.monotonic() - started, 3)
            _require_clip(answer, package_sha256)
            found = _decode(answer.content)
            if found != expected:
                raise ServiceFailed(f"the served clip is {found}, but the package makes {expected}")
            refusal = client.post("/generate", json=BAD_REQUEST)
            endpoints = {path: client.get(path).status_code for path in OBSERVED}
    except httpx.HTTPError as error:
        raise ServiceFailed(
            f"the service did not answer ({error!r}); last lines of {log}:\n{last_lines(log)}"
        ) from error
    if not 400 <= refusal.status_code < 500:
        raise ServiceFailed(f"the request {BAD_REQUEST} must be refused, but was answered {refusal.status_code}")
    if silent := [path for path, status in endpoints.items() if status != httpx.codes.OK]:
        raise ServiceFailed(f"the service does not answer at {', '.join(silent)}")
    report = {
        "schema_version": SCHEMA_VERSION,
        "package_sha256": package_sha256,
        "request": request,
        "status": answer.status_code,
        "content_type": answer.headers["content-type"],
        "clip": asdict(found),
        "bad_request": {"request": BAD_REQUEST, "status": refusal.status_code, "fields": _refused_fields(refusal)},
        "endpoints": endpoints,
    }
    summary = f"{found.frames} frames {found.width}x{found.height}, {found.samples} samples; bad request refused"
    return ServiceAnswers(report, answer.content, summary, seconds)


def _require_clip(answer: httpx.Response, package_sha256: str) -> None:
    if answer.status_code != httpx.codes.OK:
        raise ServiceFailed(f"the request for a clip was answered {answer.status_code}: {answer.text[:500]}")
    if answer.headers.get("content-type") != "video/mp4":
        raise ServiceFailed(f"the service answered {answer.headers.get('content-type')} instead of video/mp4")
    if answer.headers.get("x-nava-package") != package_sha256:
        raise ServiceFailed(f"the service serves package {answer.headers.get('x-nava-package')}, not {package_sha256}")


def _decode(content: bytes) -> ClipSize:
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "served.mp4"
        path.write_bytes(content)
        try:
            media: Media = read_mp4(path)
        except InputError as error:
            raise ServiceFailed(f"what the service sent is no MP4 that can be decoded: {error}") from error
    frames, height, width, _ = media.frames.shape
    return ClipSize(frames, height, width, float(media.fps), len(media.samples), media.sample_rate)


def _refused_fields(refusal: httpx.Response) -> list[str]:
    """The fields that a refusal names."""
    try:
        detail = refusal.json().get("detail") or []
    except ValueError:
        return []
    return sorted({".".join(map(str, item.get("loc", []))) for item in detail})
