"""Verdict on benchmark figures: one JSON file that carries its evidence and its signature.

The file is `{"verdict": {...}, "signature": {...}}`. Signed is the canonical JSON of `verdict`, by the key and the
method of model packages (`nava.artifacts.signature`), so that the file means the same wherever it is moved.
"""

import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nava.artifacts.gate_verdict import RuleResult
from nava.artifacts.signature import SignatureRefused, SigningKey, sign_folder, verify_folder
from nava.runtime.errors import InputError
from nava.runtime.hashing import canonical_json, sha256_file
from nava.runtime.storage import read_json, write_text

SCHEMA_VERSION = 1
KIND = "benchmark_verdict"
# Name of the signed file; part of what is signed.
_SIGNED_FILE = "benchmark_verdict.json"


@dataclass(frozen=True)
class ResultEvidence:
    """A result that a verdict rests on.

    Attributes:
        model: what the result calls its model.
        task, edition, manifest_sha256, items: what was measured, and on which items.
        summary_sha256, rows_sha256: of the result's two files.
        figures: those that rules are about, as the result has them: value, interval, n, coverage, backend, unproven.
    """

    model: str
    task: str
    edition: str
    manifest_sha256: str
    items: int
    summary_sha256: str
    rows_sha256: str
    figures: list[dict[str, Any]]


@dataclass(frozen=True)
class BenchmarkVerdict:
    """What the gate on benchmark figures found.

    Attributes:
        passed: every rule that could be applied holds, and at least one could.
        nava_version: release that judged.
        package_sha256: the model package whose outputs the candidate's results are of; None if nobody said.
        champion_package_sha256: the same of the champion's results.
        seed: of the resampling.
        rules: as they were given, every field.
        results: what was found, rule by rule.
        candidate, champion: the evidence; `champion` is empty if the candidate was compared with none.
    """

    passed: bool
    nava_version: str
    package_sha256: str | None
    champion_package_sha256: str | None
    seed: int
    rules: list[dict[str, Any]]
    results: list[RuleResult]
    candidate: list[ResultEvidence]
    champion: list[ResultEvidence]
    kind: str = KIND
    schema_version: int = SCHEMA_VERSION

    @property
    def compares(self) -> bool:
        """Whether a rule asks for a comparison with the champion."""
        return any(rule.get("max_regression") is not None for rule in self.rules)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, value: Mapping[str, Any], source: str) -> "BenchmarkVerdict":
        """The inverse of `to_dict`. InputError for another kind, schema version or field."""
        if value.get("kind") != KIND or value.get("schema_version") != SCHEMA_VERSION:
            found = f"{value.get('kind')!r}, schema version {value.get('schema_version')!r}"
            raise InputError(f"{source} holds {found}; this code reads {KIND!r}, schema version {SCHEMA_VERSION}")
        parts = {"results": RuleResult, "candidate": ResultEvidence, "champion": ResultEvidence}
        try:
            lists = {name: [kind(**part) for part in value[name]] for name, kind in parts.items()}
            return cls(**{**value, **lists})
        except (KeyError, TypeError) as error:
            raise InputError(f"{source} does not have the fields of a benchmark verdict: {error}") from error


def write_signed(path: Path, verdict: BenchmarkVerdict, key: SigningKey) -> str:
    """Sign a verdict and write it; return the file's sha256. The same verdict signed again is another file."""
    with tempfile.TemporaryDirectory() as scratch:
        folder, signature = _places(Path(scratch))
        write_text(folder / _SIGNED_FILE, canonical_json(verdict.to_dict()))
        sign_folder(folder, signature, key)
        bundle = read_json(signature)
    write_text(path, canonical_json({"verdict": verdict.to_dict(), "signature": bundle}) + "\n")
    return sha256_file(path)


def read_signed(path: Path, public_key: Path) -> BenchmarkVerdict:
    """Read a verdict; what it says is looked at only after its signature was found good.

    Args:
        path: the file.
        public_key: the trusted key; never one that came with the verdict.

    Raises:
        InputError: no such file or key, no JSON, or a verdict of another kind or version.
        SignatureRefused: the verdict was changed after it was signed, or signed with another key.
    """
    if not public_key.is_file():
        raise InputError(f"no public key at {public_key}: name the one that belongs to the key that signed {path}")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        signed, bundle = canonical_json(value["verdict"]), canonical_json(value["signature"])
    except FileNotFoundError as error:
        raise InputError(f"no verdict at {path}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no signed verdict: it must be JSON with verdict and signature") from error
    with tempfile.TemporaryDirectory() as scratch:
        folder, signature = _places(Path(scratch))
        write_text(folder / _SIGNED_FILE, signed)
        write_text(signature, bundle)
        try:
            verify_folder(folder, signature, public_key)
        except SignatureRefused as error:
            raise SignatureRefused(str(error).replace(str(folder), str(path))) from error
    if not isinstance(value["verdict"], dict):
        raise InputError(f"{path}: the verdict must be a JSON object")
    return BenchmarkVerdict.from_dict(value["verdict"], str(path))


def _places(scratch: Path) -> tuple[Path, Path]:
    """The folder that is signed, and its signature beside it."""
    return scratch / "signed", scratch / "signature.json"
