"""The NAVA service: a prompt in, an MP4 with sound out.

The Bento holds code only. Which package is served is said at start, by environment variables read here and nowhere
else: `NAVA_PACKAGE` (folder or fsspec address), `NAVA_PACKAGE_SHA256` and `NAVA_PUBLIC_KEY` (file); for packages that
refer to published weights `NAVA_WEIGHTS` (folder, hub mirror or bucket); and `NAVA_DEVICE` (cpu if not given; bfloat16
on any other). The package is verified before anything of it is loaded; one that does not verify stops the start.

Request (JSON, `POST /generate`)::

    {"prompt": "A red bar flashes ...", "seed": 0, "steps": 20, "guidance": {"text": 1.0, "align": 2.0}}

Only `prompt` is needed. `seed` is 0 when left out; `steps` and `guidance` are then the package's own, with which it was
evaluated. Response: `video/mp4` (H.264, AAC), with the headers `X-Nava-Package` (sha256) and `X-Nava-Seed`. The same
request gives the same bytes. A request outside the limits is answered 400 with the field and the reason.

Also `GET /livez`, `/readyz`, `/metrics` (Prometheus), `/docs.json` (OpenAPI).
"""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import bentoml
import torch
from bentoml.exceptions import InvalidArgument
from bentoml.validators import ContentType
from pydantic import BaseModel, ConfigDict, Field

from nava.artifacts.model_package import load_package
from nava.config.generation import GenerationConfig
from nava.generation.loading import load_generator
from nava.generation.request import Request
from nava.registry.package_store import fetch_package
from nava.runtime.errors import InputError
from nava.serving.command import (
    DEVICE_VARIABLE,
    KEY_VARIABLE,
    PACKAGE_VARIABLE,
    SHA256_VARIABLE,
    WEIGHTS_VARIABLE,
)

CLIP_FILE = "clip.mp4"


@dataclass(frozen=True)
class ServiceSettings:
    """What is served and with which key it is verified."""

    package: str
    sha256: str
    public_key: Path
    weights: str | None = None
    device: str = "cpu"

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "ServiceSettings":
        """Read the settings. InputError names every variable that is missing."""
        names = (PACKAGE_VARIABLE, SHA256_VARIABLE, KEY_VARIABLE)
        if missing := [name for name in names if not environment.get(name)]:
            raise InputError(f"set {', '.join(missing)}: the service needs to know what to serve and how to verify it")
        package, sha256, key = (environment[name] for name in names)
        weights, device = environment.get(WEIGHTS_VARIABLE) or None, environment.get(DEVICE_VARIABLE) or "cpu"
        return cls(package, sha256, Path(key), weights, device)


class Guidance(BaseModel):
    """Strength of each condition; 0 switches it off."""

    model_config = ConfigDict(extra="forbid")

    text: float | None = Field(default=None, ge=0, le=20, description="How closely to follow the prompt.")
    align: float | None = Field(
        default=None, ge=0, le=20, description="How closely picture and sound follow each other."
    )


class GenerateRequest(BaseModel):
    """What to generate."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    prompt: str = Field(min_length=1, max_length=2000, description="What is to be seen and heard.")
    seed: int = Field(default=0, ge=0, lt=2**32, description="The same seed and prompt give the same clip.")
    steps: int | None = Field(
        default=None, ge=1, le=100, description="Sampling steps; the package's own when left out."
    )
    guidance: Guidance = Field(default_factory=lambda: Guidance(), description="The package's own where left out.")

    def sampler(self, default: GenerationConfig) -> GenerationConfig:
        """The package's sampler settings with what the request changes."""
        given = self.guidance.model_dump(exclude_none=True)
        return replace(
            default,
            steps=self.steps or default.steps,
            video=replace(default.video, **given),
            audio=replace(default.audio, **given),
            batch_size=1,
        )


@bentoml.service(name="nava", traffic={"timeout": 300, "max_concurrency": 4}, workers=1)
class NavaService:
    """Serves one verified model package."""

    def __init__(self) -> None:
        settings = ServiceSettings.from_environment(os.environ)
        self._cache = tempfile.TemporaryDirectory(prefix="nava-package-")
        folder = fetch_package(settings.package, Path(self._cache.name))
        self.package = load_package(folder, settings.public_key, settings.sha256)
        self.generator = load_generator(
            self.package,
            settings.weights,
            settings.device,
            None if settings.device == "cpu" else torch.bfloat16,
            cache=Path(self._cache.name),
        )

    @bentoml.api(input_spec=GenerateRequest)
    def generate(self, ctx: bentoml.Context, **request: Any) -> Annotated[Path, ContentType("video/mp4")]:
        """Generate a clip with sound from a prompt."""
        wanted = GenerateRequest(**request)
        try:
            sampler = wanted.sampler(self.generator.sampler)
            # The package's own size in whole latents: what the serve check holds the answer against.
            asked = Request(wanted.prompt, wanted.seed, sampler=sampler, fit_sound=False)
            (clip,) = self.generator.generate([asked])
        except InputError as error:
            raise InvalidArgument(str(error)) from error
        path = Path(ctx.temp_dir) / CLIP_FILE
        clip.write(path)
        ctx.response.headers["X-Nava-Package"] = self.package.sha256
        ctx.response.headers["X-Nava-Seed"] = str(wanted.seed)
        return path
