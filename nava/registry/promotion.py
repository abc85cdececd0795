"""Moves the alias champion, forwards and back, and writes down every move.

The ledger comes first and decides: its entries are numbered in one transaction each, so two promoters cannot both
succeed. The alias follows; a process killed in between is made good by whoever comes next.
"""

import getpass
import json
from dataclasses import dataclass, replace
from pathlib import Path

from nava.artifacts.promotion_ledger import LedgerEntry, verify_ledger
from nava.config.registry import RegistryConfig
from nava.registry.benchmark_evidence import attach_verdict, verdict_for
from nava.registry.ledger import Ledger, PromotionConflict, next_position
from nava.registry.mlflow_registry import (
    CHAMPION,
    EVIDENCE_TAG,
    LEDGER_HEAD_TAG,
    PACKAGE_SHA256_TAG,
    PREVIOUS,
    MlflowRegistry,
)
from nava.registry.recorded_config import recorded_config
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file, sha256_json
from nava.runtime.store import utc_now

AUTO, MANUAL = "auto", "manual"


@dataclass(frozen=True)
class Move:
    """A wish to make a version the champion.

    Attributes:
        to_version: the version.
        expected: the champion that the decision was about; None: there was none.
        actor: who asks.
        evidence: sha256 of what the decision rests on, by artifact kind.
        approval: `policy`, `approved_by`, and `reason` where one is given.
        action: `promote` or `rollback`.
    """

    to_version: int
    expected: int | None
    actor: str
    evidence: dict[str, str]
    approval: dict[str, str]
    action: str = "promote"
    # Tells apart requests that are alike but were meant anew, such as two rollbacks between the same versions.
    occasion: str = ""

    @property
    def request(self) -> str:
        """Identity of the wish: asked for again, it is the same one."""
        return sha256_json(
            {
                "action": self.action,
                "to": self.to_version,
                "expected": self.expected,
                "evidence": self.evidence,
                "occasion": self.occasion,
            }
        )


class Promotions:
    """The champion of a registered model and its history.

    Args:
        config: names the model, the registry and the store.
        run_dir: root of the run; holds the embedded ones.
    """

    def __init__(self, config: RegistryConfig, run_dir: Path) -> None:
        self.registry, self.ledger = MlflowRegistry(config, run_dir), Ledger(config, run_dir)

    def promote(self, move: Move) -> LedgerEntry:
        """Make a version the champion, if the champion is the expected one; return the ledger's entry.

        A move that the ledger already has is not entered again: its alias is made good if a kill left it behind, and a
        move that was superseded since (by a rollback, say) stays superseded.

        Raises:
            InputError: there is no such version.
            LedgerBroken: the ledger was tampered with.
            PromotionConflict: the champion is another than expected; nothing was moved.
        """
        if self.registry.version(move.to_version) is None:
            raise InputError(f"model {self.ledger.model} has no version {move.to_version}")
        head = self.settle()
        known = self.ledger.find(move.request)
        if known is not None:
            return known
        champion = self.registry.aliases().get(CHAMPION)
        recorded = head.to_version if head else None
        if champion != recorded:
            raise PromotionConflict(
                f"the alias {CHAMPION} of {self.ledger.model} stands at {_named(champion)}, but the ledger says "
                f"{_named(recorded)}: somebody moved it by hand; put it back before promoting"
            )
        entry = self.ledger.append(lambda last: self._entry(move, last))
        self.settle()
        return entry

    def rollback(self, actor: str, reason: str, to_version: int | None = None) -> LedgerEntry:
        """Make an earlier version champion again: the one with the alias `previous`, or `to_version`.

        The entry carries the evidence that the version became champion on.

        Raises:
            InputError: there is nothing to go back to, it never was champion, or it is already.
        """
        head = self.settle()
        aliases = self.registry.aliases()
        target = aliases.get(PREVIOUS) if to_version is None else to_version
        if head is None or target is None:
            raise InputError(f"model {self.ledger.model} has no earlier champion to go back to")
        if target == head.to_version:
            raise InputError(f"{self.ledger.model} v{target} is the champion already")
        before = [entry for entry in self.ledger.entries() if entry.to_version == target]
        if not before:
            raise InputError(f"{self.ledger.model} v{target} was never champion, so there is no going back to it")
        approval = {"policy": MANUAL, "approved_by": actor, "reason": reason}
        evidence = before[-1].evidence
        return self.promote(Move(target, head.to_version, actor, evidence, approval, "rollback", head.entry_hash))

    def evidence_of(self, number: int) -> dict[str, str]:
        """What the promotion of a version rests on, as the registry keeps it: its package and the check that it serves.

        Raises:
            InputError: there is no such version, it was never packaged, or that package has not passed the serve check.
        """
        version = self.registry.version(number)
        if version is None:
            raise InputError(f"model {self.ledger.model} has no version {number}")
        label, again = f"{self.ledger.model} v{number}", "run the life cycle of this version to its end, then promote"
        if PACKAGE_SHA256_TAG not in version.tags:
            raise InputError(f"{label} was never packaged: {again}")
        evidence: dict[str, str] = json.loads(version.tags.get(EVIDENCE_TAG, "{}"))
        if evidence.get("model_package") != version.tags[PACKAGE_SHA256_TAG]:
            raise InputError(f"the package of {label} has not passed the serve check: {again}")
        return evidence

    def benchmark_evidence(self, number: int, champion: int | None, verdict: Path, public_key: Path) -> dict[str, str]:
        """Check a signed verdict on benchmark figures and keep it with the version; what the ledger says of it.

        Raises:
            InputError: the verdict is not a pass for this version's package against this champion's.
            SignatureRefused: it was changed, or signed with another key.
        """
        version = self.registry.version(number)
        assert version is not None
        current = None if champion is None else self.registry.version(champion)
        sha256 = verdict_for(verdict, public_key, version, current)
        attach_verdict(self.registry, version, verdict, sha256)
        return {"benchmark_verdict": sha256, "benchmark_verdict_key": sha256_file(public_key)}

    def settle(self) -> LedgerEntry | None:
        """Verify the ledger and bring the aliases to its last entry where a kill left them one move behind."""
        entries = self.ledger.entries()
        known_head = self.registry.model_tag(LEDGER_HEAD_TAG)
        # The registry's head may be one entry behind, never ahead: then entries were cut off.
        verify_ledger(entries)
        if known_head and known_head not in {entry.entry_hash for entry in entries}:
            verify_ledger(entries, expected_head=known_head)
        if not entries:
            return None
        last = entries[-1]
        if self.registry.aliases().get(CHAMPION) == last.from_version:
            self._move_aliases(last)
        elif known_head != last.entry_hash:
            self.registry.tag_model(LEDGER_HEAD_TAG, last.entry_hash)
        self.ledger.export()
        return last

    def _move_aliases(self, entry: LedgerEntry) -> None:
        if entry.from_version is not None:
            self.registry.move_alias(PREVIOUS, entry.from_version)
        self.registry.move_alias(CHAMPION, entry.to_version)
        self.registry.tag_model(LEDGER_HEAD_TAG, entry.entry_hash)

    def _entry(self, move: Move, last: LedgerEntry | None) -> LedgerEntry:
        champion = last.to_version if last else None
        if champion != move.expected:
            raise PromotionConflict(
                f"{self.ledger.model} v{move.to_version} was judged against {_named(move.expected)}, but the "
                f"champion is now {_named(champion)}: run the gate again"
            )
        sequence, previous = next_position(last)
        entry = LedgerEntry(
            sequence=sequence,
            recorded_at=utc_now(),
            actor=move.actor,
            action=move.action,
            model=self.ledger.model,
            from_version=champion,
            to_version=move.to_version,
            evidence=move.evidence,
            approval=move.approval,
            request=move.request,
            previous_hash=previous,
        )
        return replace(entry, entry_hash=entry.computed_hash())


def rollback_run(run_dir: Path, reason: str, config: RegistryConfig | None = None) -> str:
    """Roll the champion of a run back; return what was done, for the terminal."""
    entry = Promotions(config or recorded_config(run_dir, RegistryConfig), run_dir).rollback(getpass.getuser(), reason)
    return f"champion: {entry.model} v{entry.from_version} -> v{entry.to_version} (ledger entry {entry.sequence})"


def promote_by_hand(
    run_dir: Path,
    version: int,
    reason: str,
    config: RegistryConfig | None = None,
    benchmark_verdict: tuple[Path, Path] | None = None,
) -> str:
    """Make a version champion on a person's word; return what was done, for the terminal.

    Args:
        run_dir: root of the run.
        version: which.
        reason: why.
        config: of the registry; by default as the run recorded it.
        benchmark_verdict: a signed verdict that must let the version pass, and the public key to verify it with; it
            is kept with the version, and its hash is evidence in the ledger.

    Raises:
        InputError: it is champion already, nothing shows that it can be served, or the verdict does not let it pass.
        SignatureRefused: the verdict is not what was signed.
    """
    promotions = Promotions(config or recorded_config(run_dir, RegistryConfig), run_dir)
    actor, head = getpass.getuser(), promotions.settle()
    if head is not None and head.to_version == version:
        raise InputError(f"{head.model} v{version} is the champion already")
    approval = {"policy": MANUAL, "approved_by": actor, "reason": reason}
    expected = head.to_version if head else None
    occasion = head.entry_hash if head else ""
    evidence = promotions.evidence_of(version)
    if benchmark_verdict is not None:
        evidence |= promotions.benchmark_evidence(version, expected, *benchmark_verdict)
    entry = promotions.promote(Move(version, expected, actor, evidence, approval, occasion=occasion))
    return (
        f"champion: {entry.model} {_named(entry.from_version)} -> v{entry.to_version} (ledger entry {entry.sequence})"
    )


def _named(version: int | None) -> str:
    return "no version" if version is None else f"v{version}"
