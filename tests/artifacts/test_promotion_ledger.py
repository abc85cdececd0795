import json
from dataclasses import replace

import pytest

from nava.artifacts.promotion_ledger import (
    GENESIS,
    LedgerBroken,
    LedgerEntry,
    read_ledger,
    verify_ledger,
    write_ledger,
)
from nava.runtime.errors import InputError


def sealed(entry):
    return replace(entry, entry_hash=entry.computed_hash())


@pytest.fixture
def chain():
    entries, previous = [], GENESIS
    for number in range(1, 5):
        entry = LedgerEntry(
            sequence=number,
            recorded_at=f"2026-01-0{number}T00:00:00+00:00",
            actor="ada",
            action="promote",
            model="nava",
            from_version=number - 1 or None,
            to_version=number,
            evidence={"verdict": "e" * 64},
            approval={"policy": "auto", "approved_by": "the evaluation gate"},
            request=f"{number:064d}",
            previous_hash=previous,
        )
        entries.append(sealed(entry))
        previous = entries[-1].entry_hash
    return entries


def test_a_whole_chain_verifies_and_so_does_an_empty_one(chain):
    verify_ledger(chain)
    verify_ledger(chain, expected_head=chain[-1].entry_hash)
    verify_ledger([])


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "eve"},
        {"to_version": 99},
        {"from_version": None},
        {"recorded_at": "2020-01-01T00:00:00+00:00"},
        {"evidence": {"verdict": "f" * 64}},
        {"approval": {"policy": "manual", "approved_by": "eve"}},
        {"action": "rollback"},
    ],
)
def test_a_changed_entry_is_found(chain, change):
    chain[1] = replace(chain[1], **change)
    with pytest.raises(LedgerBroken, match="entry 2 was changed"):
        verify_ledger(chain)


def test_a_changed_and_sealed_entry_breaks_the_next(chain):
    chain[1] = sealed(replace(chain[1], actor="eve"))
    with pytest.raises(LedgerBroken, match="entry 3 does not follow"):
        verify_ledger(chain)


def test_a_removed_entry_is_found(chain):
    with pytest.raises(LedgerBroken, match="entry 2 is missing"):
        verify_ledger([chain[0], *chain[2:]])


def test_entries_that_changed_places_are_found(chain):
    with pytest.raises(LedgerBroken):
        verify_ledger([chain[0], chain[2], chain[1], chain[3]])


def test_an_entry_put_in_is_found(chain):
    extra = sealed(replace(chain[1], sequence=2, actor="eve"))
    with pytest.raises(LedgerBroken):
        verify_ledger([chain[0], extra, *chain[1:]])


def test_a_shortened_ledger_is_found_by_a_head_kept_elsewhere(chain):
    verify_ledger(chain[:-1])
    with pytest.raises(LedgerBroken, match="the registry knows a later one"):
        verify_ledger(chain[:-1], expected_head=chain[-1].entry_hash)


def test_an_export_reads_back_and_still_verifies(tmp_path, chain):
    write_ledger(tmp_path / "ledger.json", chain)
    found = read_ledger(tmp_path / "ledger.json")
    assert found == chain
    verify_ledger(found)


def test_tampering_with_the_export_is_found(tmp_path, chain):
    path = tmp_path / "ledger.json"
    write_ledger(path, chain)
    path.write_text(path.read_text().replace('"to_version": 3', '"to_version": 1'))
    with pytest.raises(LedgerBroken, match="entry 3"):
        verify_ledger(read_ledger(path))


@pytest.mark.parametrize("change", ["version", "field"])
def test_an_export_of_another_schema_is_refused(tmp_path, chain, change):
    path = tmp_path / "ledger.json"
    write_ledger(path, chain)
    value = json.loads(path.read_text())
    if change == "version":
        value["schema_version"] = 2
    else:
        del value["entries"][0]["actor"]
    path.write_text(json.dumps(value))
    with pytest.raises(InputError, match="schema version 2" if change == "version" else "actor"):
        read_ledger(path)
