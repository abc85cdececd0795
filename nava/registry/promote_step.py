"""Promotes a candidate that has passed the gate and the serve check, or leaves it for a person to promote."""

import json
from pathlib import Path

from nava.artifacts.gate_verdict import read_verdict
from nava.artifacts.model_version import ModelVersion, read_model_version
from nava.artifacts.promotion_ledger import LedgerEntry
from nava.config.promotion import PromotionConfig
from nava.config.registry import RegistryConfig
from nava.registry.baseline import Baseline
from nava.registry.ledger import EXPORT_FILE, Ledger
from nava.registry.mlflow_registry import EVIDENCE_TAG
from nava.registry.promotion import AUTO, MANUAL, Move, Promotions
from nava.runtime.errors import InputError, NavaError
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_json
from nava.runtime.step import Step
from nava.runtime.storage import write_json

KIND = "promotion"
PROMOTION_FILE = "promotion.json"


def ledger_identity(step: Step, model_version: Handle) -> str:
    """What the result depends on beside its inputs: where the ledger leaves the version.

    Empty before the version's promotion and as this very promotion leaves it, so that an unchanged run is reused; the
    hash of the ledger's head once the version is replaced or rolled back, or became champion by a person's word.
    """
    config, registry = step.section(PromotionConfig), step.section(RegistryConfig)
    number = int(model_version.meta["version"])
    entries = Ledger(registry, step.run_dir).entries()
    if _last_move(entries, number) is None:
        return ""
    head = entries[-1]
    automatic = head.action == "promote" and head.approval["policy"] == config.policy == AUTO
    return "" if automatic and head.to_version == number else head.entry_hash


def promote(step: Step, model_version: Handle, verdict: Handle, model_package: Handle, serve_report: Handle) -> Handle:
    """Policy `auto` moves the alias `champion` to the version; `manual` leaves it `candidate` and says the command.

    A version that was champion before stays where people and later promotions have put it since, and the result says
    so: no repeated run undoes a rollback.

    Returns:
        Handle of kind `promotion`; meta: `promoted`, `version`, `champion`, `ledger_entry`.

    Raises:
        InputError: an unknown policy.
        NavaError: the verdict is not a pass.
        PromotionConflict: the champion changed since the gate compared with it.
    """
    config, registry = step.section(PromotionConfig), step.section(RegistryConfig)
    if config.policy not in (AUTO, MANUAL):
        raise InputError(f"promotion.policy is '{config.policy}'; it can be {AUTO} or {MANUAL}")
    if not read_verdict(verdict).passed:
        raise NavaError("the gate's verdict is not a pass: nothing is promoted")
    version = read_model_version(model_version)
    evidence = {
        "model_version": model_version.sha256,
        "verdict": verdict.sha256,
        "model_package": model_package.require("model_package").sha256,
        "serve_report": serve_report.require("serve_report").sha256,
    }
    promotions = Promotions(registry, step.run_dir)
    promotions.registry.tag_version(version.version, {EVIDENCE_TAG: json.dumps(evidence, sort_keys=True)})
    entry = _last_move(promotions.ledger.entries(), version.version)
    if entry is None and config.policy == AUTO:
        expected = Baseline.from_dict(version.baseline).version
        approval = {"policy": AUTO, "approved_by": "the evaluation gate"}
        entry = promotions.promote(Move(version.version, expected, config.actor, evidence, approval))
    value = _held(step, version, evidence) if entry is None else _moved(step, version, entry, promotions.settle())
    path = step.workdir / PROMOTION_FILE
    write_json(path, value)
    identity = sha256_json({"policy": config.policy, "name": version.name, "evidence": evidence})
    meta = {name: value[name] for name in ("promoted", "version", "champion", "ledger_entry", "say")}
    return Handle(KIND, str(path), identity, meta)


def _last_move(entries: list[LedgerEntry], number: int) -> LedgerEntry | None:
    """The entry that made a version champion last, or None if it never was."""
    return next((entry for entry in reversed(entries) if entry.to_version == number), None)


def _moved(step: Step, version: ModelVersion, entry: LedgerEntry, head: LedgerEntry | None) -> dict[str, object]:
    """What is to be said of a version that is champion or was."""
    champion = head.to_version if head else None
    promoted = champion == version.version
    before = f"v{entry.from_version}" if entry.from_version is not None else "none"
    say = (
        f"{version.label} is champion (before: {before})"
        if promoted
        else f"{version.label} was promoted before and replaced since by v{champion}; it stays replaced"
    )
    step.log(f"{say}; ledger entry {entry.sequence}")
    return {
        "schema_version": 1,
        "promoted": promoted,
        "name": version.name,
        "version": version.version,
        "champion": champion,
        "ledger_entry": entry.sequence,
        "ledger": str(step.run_dir / EXPORT_FILE),
        "entry": vars(entry),
        "say": say,
    }


def _held(step: Step, version: ModelVersion, evidence: dict[str, str]) -> dict[str, object]:
    command = f"nava registry promote --run-dir {_shown(step.run_dir)} --version {version.version} --reason '...'"
    say = f"{version.label} stays candidate (policy {MANUAL}); promote it with: {command}"
    step.log(say)
    return {
        "schema_version": 1,
        "promoted": False,
        "name": version.name,
        "version": version.version,
        "champion": None,
        "ledger_entry": None,
        "evidence": evidence,
        "say": say,
    }


def _shown(path: Path) -> str:
    """A path as a person would type it: relative where it lies below the current folder."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
