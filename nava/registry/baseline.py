"""What a candidate is compared with: the champion, or the untrained model where there is none.

A champion that was made from the very evaluation at hand is not compared with itself but stands on what it was judged
against, so that the same run, repeated after its own promotion, comes to the same verdict.
"""

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nava.artifacts import evaluation_result
from nava.config.registry import RegistryConfig
from nava.registry.gate_rules import Evaluated
from nava.registry.mlflow_registry import (
    BASELINE_TAG,
    CHAMPION,
    EVALUATION_ARTIFACT,
    EVALUATION_TAG,
    IDENTITY_TAG,
    MlflowRegistry,
    RegisteredVersion,
)
from nava.runtime.errors import NavaError
from nava.runtime.hashing import sha256_json


@dataclass(frozen=True)
class Baseline:
    """What a verdict compares with.

    Attributes:
        version: number of the champion; None for the untrained model.
        fingerprint: changes when the comparison would.
        label: for people.
    """

    version: int | None
    fingerprint: str
    label: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: dict[str, Any]) -> "Baseline":
        """The inverse of `to_dict`; KFP carries every number as a double, and no null."""
        version = value.get("version")
        return cls(None if version is None else int(version), str(value["fingerprint"]), str(value["label"]))


UNTRAINED = Baseline(None, "untrained", "the untrained model")


def find_baseline(config: RegistryConfig, run_dir: Path, evaluation_sha256: str) -> Baseline:
    """The baseline for a candidate with this evaluation. Costs nothing where no registry exists yet."""
    if MlflowRegistry.is_empty(config, run_dir):
        return UNTRAINED
    champion = MlflowRegistry(config, run_dir).by_alias(CHAMPION)
    if champion is None:
        return UNTRAINED
    if champion.tags.get(EVALUATION_TAG) == evaluation_sha256 and BASELINE_TAG in champion.tags:
        return Baseline.from_dict(json.loads(champion.tags[BASELINE_TAG]))
    return _of_champion(champion)


def read_champion(config: RegistryConfig, run_dir: Path, baseline: Baseline) -> Evaluated:
    """The evaluation of the version a baseline names, as the registry keeps it.

    Raises:
        NavaError: the registry no longer has the version or its evaluation.
    """
    assert baseline.version is not None
    registry = MlflowRegistry(config, run_dir)
    champion = registry.version(baseline.version)
    if champion is None:
        raise NavaError(f"the registry has lost {baseline.label}, with which the candidate is to be compared")
    with tempfile.TemporaryDirectory() as scratch:
        folder = registry.download(champion.run_id, EVALUATION_ARTIFACT, Path(scratch))
        return Evaluated(baseline.label, evaluation_result.read(folder), list(evaluation_result.read_samples(folder)))


def _of_champion(champion: RegisteredVersion) -> Baseline:
    facts = {name: champion.tags.get(name, "") for name in (IDENTITY_TAG, EVALUATION_TAG)}
    fingerprint = sha256_json({"name": champion.name, "version": champion.version, **facts})
    return Baseline(champion.version, fingerprint, f"champion {champion.name} v{champion.version}")
