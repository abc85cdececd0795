"""A registered model version: where the registry keeps it, and what it was made from."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import read_json, write_json

KIND = "model_version"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ModelVersion:
    """A version of a registered model.

    Attributes:
        name: name of the registered model.
        version: its number in the registry.
        run_id: the registry's run with parameters, metrics, curves and the run record.
        identity: hash of the evaluation and the checkpoint; the same pair is never registered twice.
        evidence: sha256 of evaluation, verdict, checkpoint, shards and corpus, by artifact kind.
        baseline: what the verdict compared with: `fingerprint`, `version` (None: the untrained model), `label`.
    """

    name: str
    version: int
    run_id: str
    identity: str
    evidence: dict[str, str]
    baseline: dict[str, Any]
    schema_version: int = SCHEMA_VERSION

    @property
    def label(self) -> str:
        """How people refer to it, e.g. `nava v3`."""
        return f"{self.name} v{self.version}"


def version_identity(evaluation_sha256: str, checkpoint_sha256: str) -> str:
    """The identity of the version made of an evaluation and a checkpoint."""
    return sha256_json({"evaluation": evaluation_sha256, "checkpoint": checkpoint_sha256})


def write_model_version(path: Path, version: ModelVersion) -> Handle:
    """Write the version; the handle's hash is of the evidence, since number and run id are the registry's whim."""
    write_json(path, asdict(version))
    meta = {"name": version.name, "version": version.version, "run_id": version.run_id}
    return Handle(KIND, str(path.resolve()), sha256_json({"name": version.name, "evidence": version.evidence}), meta)


def read_model_version(handle: Handle) -> ModelVersion:
    """Read a version back. InputError for another kind or schema version."""
    value = read_json(handle.require(KIND).path)
    if value.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"{handle.uri} has schema version {value.get('schema_version')!r}; this code reads {SCHEMA_VERSION}"
        )
    known = {field.name for field in fields(ModelVersion)}
    return ModelVersion(**{name: item for name, item in value.items() if name in known})
