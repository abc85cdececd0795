"""The run record: everything needed to say how a model version came to be, and to make it again."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nava.runtime.errors import InputError
from nava.runtime.storage import read_json, write_json

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class RunRecord:
    """Provenance of a model version; a value that could not be found out is None, never guessed.

    Attributes:
        git_sha: commit of the code, None outside a git checkout.
        git_dirty: whether tracked files differed from it.
        data_sha256: content hash of the corpus version. shards_sha256: of the latent shards.
        checkpoint_sha256: of the weights' checkpoint. evaluation_sha256: of the evaluation result.
        config_sha256: hash of `config`, the resolved configuration by section.
        image_digests: container image digest by step; None where steps ran without containers.
        seed: the run's seed.
        python: version of the interpreter. libraries: version by distribution.
        hardware: machine, cpu model, cores, memory_gb, accelerators.
        cost: step_seconds by step and in all, cpu_seconds, and amount with currency where a price is known.
    """

    git_sha: str | None
    git_dirty: bool | None
    data_sha256: str | None
    shards_sha256: str
    checkpoint_sha256: str | None
    evaluation_sha256: str | None
    config_sha256: str
    config: dict[str, Any]
    image_digests: dict[str, str] | None
    seed: int
    python: str
    libraries: dict[str, str]
    hardware: dict[str, Any]
    cost: dict[str, Any]
    schema_version: int = SCHEMA_VERSION

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def write_run_record(path: Path, record: RunRecord) -> None:
    """Write the record as JSON, atomically."""
    write_json(path, record.to_dict())


def read_run_record(path: Path) -> RunRecord:
    """Read a record back. InputError for another schema version or unknown and missing fields."""
    value = read_json(path)
    if value.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{path} has schema version {value.get('schema_version')!r}; this code reads {SCHEMA_VERSION}")
    if wrong := set(value) ^ {field.name for field in fields(RunRecord)}:
        raise InputError(f"{path} is not a run record: missing or unknown {', '.join(sorted(wrong))}")
    return RunRecord(**value)
