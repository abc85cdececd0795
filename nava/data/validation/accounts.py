"""Rules over more than one table: the accounts of a manifest, chains of duplicates, and the media that it names."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from nava.artifacts.clip_manifest import Reason, Status, count_statuses
from nava.artifacts.gate_verdict import RuleResult
from nava.artifacts.source_manifest import Source
from nava.config.validation import ValidationConfig
from nava.data.curation.publish import RECORD_FILE
from nava.runtime.hashing import sha256_file
from nava.runtime.storage import read_json


def account_rules(
    folder: Path, rows: Sequence[Mapping[str, Any]], sources: Sequence[Source], config: ValidationConfig, earlier: bool
) -> list[RuleResult]:
    """What a suite over one table cannot say.

    Args:
        folder: the clip manifest's folder.
        rows: its rows.
        sources: of the source manifest beside it.
        config: the gate's bounds.
        earlier: clips were compared with earlier corpora too, so a keeper may lie there.
    """
    return [
        _share_rule(rows, config),
        _count_rule(folder, rows),
        _source_rule(rows, sources),
        _split_rule(rows),
        _duplicate_rule(rows, earlier),
        _media_rule(folder, rows),
    ]


def _share_rule(rows: Sequence[Mapping[str, Any]], config: ValidationConfig) -> RuleResult:
    counts = count_statuses(rows)
    not_kept = counts["in"] - counts["kept"]
    share = not_kept / max(counts["in"], 1)
    words = "accounts: the share of records that were not kept"
    observed = f"{share:.0%} ({not_kept} of {counts['in']})"
    return RuleResult(words, share <= config.max_not_kept_share, observed, f"<= {config.max_not_kept_share:.0%}")


def _count_rule(folder: Path, rows: Sequence[Mapping[str, Any]]) -> RuleResult:
    """What curation says it counted is what the manifest holds."""
    observed = count_statuses(rows)
    path = folder / RECORD_FILE
    expected = read_json(path)["counts"] if path.is_file() else f"{RECORD_FILE} beside the manifest"
    words = "accounts: in = kept + dropped + failed + quarantined, as curation counted"
    return RuleResult(words, observed == expected, observed, expected)


def _source_rule(rows: Sequence[Mapping[str, Any]], sources: Sequence[Source]) -> RuleResult:
    """Sources in, sources out: none lost, none from elsewhere."""
    wanted, found = {source.source_id for source in sources}, {str(row["src_id"]) for row in rows}
    offending = sorted(wanted ^ found)
    words = "accounts: every source has a record, and every record a source"
    return RuleResult(words, not offending, f"{len(found)} of {len(wanted)}", len(wanted), offending)


def _split_rule(rows: Sequence[Mapping[str, Any]]) -> RuleResult:
    """A source in both splits would let the model train on what it is tested with."""
    splits: dict[str, set[str]] = {}
    kept = [row for row in rows if row["status"] == Status.KEPT]
    for row in kept:
        splits.setdefault(row["src_sha256"], set()).add(row["split"])
    offending = [row["clip_id"] for row in kept if len(splits[row["src_sha256"]]) > 1]
    words = "accounts: no source is in two splits"
    return RuleResult(words, not offending, f"{len(offending)} clips are", "none is", offending)


def _duplicate_rule(rows: Sequence[Mapping[str, Any]], earlier: bool) -> RuleResult:
    """A duplicate points at a clip that was kept, here or in an earlier corpus, never at another duplicate."""
    status = {row["clip_id"]: row["status"] for row in rows}
    repeats = [row for row in rows if row["dup_of"] or row["drop_reason"] == Reason.NEAR_DUPLICATE]
    offending = [row["clip_id"] for row in repeats if not _names_a_keeper(row, status, earlier)]
    words = "accounts: every near-duplicate names a kept clip, never another duplicate"
    return RuleResult(words, not offending, f"{len(offending)} do not", "all do", offending)


def _names_a_keeper(row: Mapping[str, Any], status: Mapping[str, str], earlier: bool) -> bool:
    """In an earlier corpus the keeper may be the very same clip."""
    keeper = row["dup_of"]
    if not keeper:
        return False
    if earlier and (keeper == row["clip_id"] or keeper not in status):
        return True
    return status.get(keeper) == Status.KEPT


def _media_rule(folder: Path, rows: Sequence[Mapping[str, Any]]) -> RuleResult:
    """Every file that a kept clip names is there with the bytes that were hashed."""
    offending = []
    for row in rows:
        if row["status"] != Status.KEPT:
            continue
        for kind in ("video", "audio", "audio_48k"):
            name = row[f"{kind}_path"]
            if name and not _intact(folder / name, row[f"{kind}_sha256"]):
                offending.append(row["clip_id"])
    words = "accounts: the media of kept clips are there, byte for byte"
    return RuleResult(words, not offending, f"{len(offending)} are not", "all are", sorted(set(offending)))


def _intact(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_file(path) == sha256
