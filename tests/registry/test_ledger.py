from dataclasses import replace

import pytest
from sqlalchemy import text

from nava.artifacts.promotion_ledger import LedgerBroken, LedgerEntry, read_ledger, verify_ledger
from nava.config.registry import RegistryConfig
from nava.registry.ledger import Ledger, PromotionConflict, next_position


def written(request, to_version=1, model="nava"):
    def write(last):
        sequence, previous = next_position(last)
        entry = LedgerEntry(
            sequence=sequence,
            recorded_at="2026-01-01T00:00:00+00:00",
            actor="ada",
            action="promote",
            model=model,
            from_version=last.to_version if last else None,
            to_version=to_version,
            evidence={"verdict": "e"},
            approval={"policy": "auto"},
            request=request,
            previous_hash=previous,
        )
        return replace(entry, entry_hash=entry.computed_hash())

    return write


@pytest.fixture
def ledger(tmp_path):
    found = Ledger(RegistryConfig(), tmp_path)
    for version in (1, 2, 3):
        found.append(written(f"r{version}", version))
    return found


def test_entries_chain_and_are_exported(tmp_path, ledger):
    entries = ledger.entries()
    assert [(entry.sequence, entry.from_version, entry.to_version) for entry in entries] == [
        (1, None, 1),
        (2, 1, 2),
        (3, 2, 3),
    ]
    verify_ledger(entries)
    assert read_ledger(tmp_path / "promotion_ledger.json") == entries
    assert Ledger(RegistryConfig(), tmp_path).entries() == entries


def test_an_entry_is_found_by_its_request(ledger):
    assert ledger.find("r2") == ledger.entries()[1]
    assert ledger.find("r9") is None


def test_the_same_request_is_not_entered_twice(ledger):
    with pytest.raises(PromotionConflict, match="nothing was moved"):
        ledger.append(written("r2", 9))
    assert len(ledger.entries()) == 3


def test_of_two_writers_at_once_one_loses(tmp_path, ledger):
    other = Ledger(RegistryConfig(), tmp_path)

    def interrupted(last):
        other.append(written("theirs", 7))
        return written("ours", 8)(last)

    with pytest.raises(PromotionConflict, match="somebody else"):
        ledger.append(interrupted)
    assert "ours" not in {entry.request for entry in other.entries()}
    verify_ledger(other.entries())


def test_a_write_that_fails_leaves_nothing(ledger):
    def fails(last):
        raise PromotionConflict("no")

    with pytest.raises(PromotionConflict):
        ledger.append(fails)
    assert len(ledger.entries()) == 3


def test_each_model_has_a_chain_of_its_own(tmp_path, ledger):
    other = Ledger(RegistryConfig(model_name="other"), tmp_path)
    assert other.entries() == []
    assert other.append(written("r1", 1, "other")).sequence == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE promotion_ledger SET entry = json_set(entry, '$.actor', 'eve') WHERE sequence = 2",
        "UPDATE promotion_ledger SET entry = json_set(entry, '$.to_version', 9) WHERE sequence = 1",
        "DELETE FROM promotion_ledger WHERE sequence = 2",
    ],
)
def test_tampering_in_the_database_is_found(ledger, statement):
    with ledger.store.session() as session:
        session.execute(text(statement))
    with pytest.raises(LedgerBroken):
        verify_ledger(ledger.entries())
