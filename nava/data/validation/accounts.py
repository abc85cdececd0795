"""Rules over more than one table: the accounts of a manifest, chains of duplicates, and the media that it names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nava.artifacts.clip_manifest import Status, count_statuses
from nava.artifacts.gate_verdict import RuleResult
from nava.config.validation import ValidationConfig
from nava.runtime.hashing import sha256_file


def account_rules(folder: Path, rows: Sequence[Mapping[str, Any]], config: ValidationConfig) -> list[RuleResult]:
    """What a suite over one table cannot say.

    Args:
        folder: the clip manifest's folder.
        rows: its rows.
        config: the gate's bounds.
    """
    return [_share_rule(rows, config), _duplicate_rule(rows), _media_rule(folder, rows)]


def _share_rule(rows: Sequence[Mapping[str, Any]], config: ValidationConfig) -> RuleResult:
    counts = count_statuses(rows)
    not_kept = counts["in"] - counts["kept"]
    share = not_kept / max(counts["in"], 1)
    words = "accounts: the share of records that were not kept"
    observed = f"{share:.0%} ({not_kept} of {counts['in']})"
    return RuleResult(words, share <= config.max_not_kept_share, observed, f"<= {config.max_not_kept_share:.0%}")


def _duplicate_rule(rows: Sequence[Mapping[str, Any]]) -> RuleResult:
    """A duplicate points at a clip that was kept, never at another duplicate."""
    status = {row["clip_id"]: row["status"] for row in rows}
    offending = [row["clip_id"] for row in rows if row["dup_of"] and status.get(row["dup_of"]) != Status.KEPT]
    words = "accounts: every near-duplicate names a kept clip"
    return RuleResult(words, not offending, f"{len(offending)} do not", "all do", offending)


def _media_rule(folder: Path, rows: Sequence[Mapping[str, Any]]) -> RuleResult:
    """Every file that a kept clip names is there with the bytes that were hashed."""
    offending = []
    for row in rows:
        if row["status"] != Status.KEPT:
            continue
        for kind in ("video", "audio"):
            name = row[f"{kind}_path"]
            if name and not _intact(folder / name, row[f"{kind}_sha256"]):
                offending.append(row["clip_id"])
    words = "accounts: the media of kept clips are there, byte for byte"
    return RuleResult(words, not offending, f"{len(offending)} are not", "all are", sorted(set(offending)))


def _intact(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_file(path) == sha256
