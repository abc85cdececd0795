"""What a process of training is told: one JSON file, the same for all of them. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import read_json, write_json

SCHEMA_VERSION = 1
# What decides a stage's result; the rest of a configuration is about where and how it runs.
SECTIONS = ("training", "model", "diffusion", "loader")


@dataclass(frozen=True)
class TrainingJob:
    """A stage to train.

    Attributes:
        recipe: its name, for people.
        config: the whole resolved configuration, by section.
        identity: of the sections that decide the result, what does so.
        shards: folder or address of the latent shards.
        previous: result folder of the stage before; empty for none.
        init: package, result or weights to start from instead; empty for none.
        inputs: hashes of the shards, and of what it starts from.
        steps: where the stage ends; None is the recipe's length.
        workdir: the run's folder.
    """

    recipe: str
    stage: int
    seed: int
    config: dict[str, Any]
    identity: dict[str, Any]
    shards: str
    previous: str
    init: str
    inputs: dict[str, str]
    steps: int | None
    workdir: str
    schema_version: int = SCHEMA_VERSION

    @property
    def length(self) -> int:
        """Optimizer steps of the stage."""
        return self.steps or int(self.config["training"][f"stage{self.stage}"]["steps"])

    @property
    def key(self) -> str:
        """The same for jobs that do the same work in the same place."""
        return sha256_json([self.identity, self.stage, self.seed, self.inputs, self.steps, self.workdir])

    def write(self, path: Path) -> None:
        """As JSON, atomically."""
        write_json(path, asdict(self))


def read_job(path: Path) -> TrainingJob:
    """Read a job back.

    Raises:
        InputError: there is none, or it is of another version.
    """
    if not path.is_file():
        raise InputError(f"no training in {path.parent}: it has no {path.name}; `nava train run` starts one")
    value = read_json(path)
    if value.get("schema_version") != SCHEMA_VERSION or set(value) != {field.name for field in fields(TrainingJob)}:
        raise InputError(f"{path} is not a training job of version {SCHEMA_VERSION}")
    return TrainingJob(**value)


def first_difference(before: TrainingJob, now: TrainingJob) -> str:
    """The first thing that makes two jobs different work, as `name: before, now`; empty if they can share a folder."""
    for name in ("stage", "seed"):
        if getattr(before, name) != getattr(now, name):
            return f"{name} was {getattr(before, name)} and is {getattr(now, name)}"
    old, new = _flat(before.identity), _flat(now.identity)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            return f"{name} was {old.get(name)} and is {new.get(name)}"
    for name, what in (("shards", "the latents of --data"), ("previous", "what it starts from")):
        if before.inputs.get(name) != now.inputs.get(name):
            return f"{what} changed"
    return ""


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found
