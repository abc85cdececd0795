import json

import pytest
from sqlalchemy import text

from nava.artifacts.promotion_ledger import LedgerBroken, verify_ledger
from nava.config.registry import RegistryConfig
from nava.registry.ledger import PromotionConflict
from nava.registry.mlflow_registry import CHAMPION, EVIDENCE_TAG, PACKAGE_SHA256_TAG, PREVIOUS
from nava.registry.promotion import Move, Promotions, promote_by_hand, rollback_run
from nava.registry.versions import current_champion, list_versions
from nava.runtime.errors import InputError

APPROVAL = {"policy": "auto", "approved_by": "the evaluation gate"}


@pytest.fixture(scope="module")
def empty_registry(tmp_path_factory, empty_database):
    """A registry of three versions without aliases: made once, copied for each test."""
    folder = tmp_path_factory.mktemp("registry")
    (folder / "mlflow.db").write_bytes(empty_database.read_bytes())
    promotions = Promotions(RegistryConfig(), folder)
    experiment = promotions.registry.experiment_id()
    for number in (1, 2, 3):
        run = promotions.registry.client.create_run(experiment)
        promotions.registry.create_version(run.info.run_id, "file:///nowhere", {"number": str(number)})
    return folder


@pytest.fixture
def run_dir(tmp_path, empty_registry):
    for name in ("mlflow.db", "store.db"):
        (tmp_path / name).write_bytes((empty_registry / name).read_bytes())
    return tmp_path


@pytest.fixture
def promotions(run_dir):
    return Promotions(RegistryConfig(), run_dir)


def move(to_version, expected, **changes):
    return Move(to_version, expected, "ada", {"verdict": f"v{to_version}"}, APPROVAL, **changes)


def aliases(promotions):
    return promotions.registry.aliases()


def test_the_first_promotion_sets_the_champion(promotions, run_dir):
    assert current_champion(run_dir) is None
    entry = promotions.promote(move(1, None))
    assert (entry.from_version, entry.to_version, entry.action) == (None, 1, "promote")
    assert aliases(promotions) == {CHAMPION: 1}
    assert current_champion(run_dir).version == 1


def test_the_next_one_keeps_the_champion_before_as_previous(promotions, run_dir):
    promotions.promote(move(1, None))
    promotions.promote(move(2, 1))
    assert aliases(promotions) == {CHAMPION: 2, PREVIOUS: 1}
    listed = list_versions(run_dir)
    assert [(item["version"], item["aliases"]) for item in listed] == [(1, [PREVIOUS]), (2, [CHAMPION]), (3, [])]
    verify_ledger(promotions.ledger.entries())


def test_the_same_promotion_again_is_entered_once(promotions, run_dir):
    first = promotions.promote(move(1, None))
    again = Promotions(RegistryConfig(), run_dir).promote(move(1, None))
    assert again == first
    assert len(promotions.ledger.entries()) == 1


def test_a_promotion_that_was_judged_against_another_champion_is_refused(promotions):
    promotions.promote(move(1, None))
    with pytest.raises(PromotionConflict, match="v3 was judged against no version, but the champion is now v1"):
        promotions.promote(move(3, None))
    assert aliases(promotions) == {CHAMPION: 1}
    assert len(promotions.ledger.entries()) == 1


def test_a_champion_moved_by_hand_is_found_before_anything_moves(promotions):
    promotions.promote(move(1, None))
    promotions.registry.move_alias(CHAMPION, 3)
    with pytest.raises(PromotionConflict, match="stands at v3, but the ledger says v1"):
        promotions.promote(move(2, 1))
    assert len(promotions.ledger.entries()) == 1


def test_an_unknown_version_is_refused(promotions):
    with pytest.raises(InputError, match="no version 9"):
        promotions.promote(move(9, None))


def test_killed_between_ledger_and_alias_the_same_command_finishes(promotions, run_dir, monkeypatch):
    promotions.promote(move(1, None))
    with monkeypatch.context() as patch:
        patch.setattr(promotions, "_move_aliases", _killed)
        with pytest.raises(KeyboardInterrupt):
            promotions.promote(move(2, 1))
    assert aliases(promotions) == {CHAMPION: 1}
    again = Promotions(RegistryConfig(), run_dir)
    entry = again.promote(move(2, 1))
    assert entry.sequence == 2
    assert aliases(again) == {CHAMPION: 2, PREVIOUS: 1}
    assert len(again.ledger.entries()) == 2


def _killed(entry):
    raise KeyboardInterrupt


def test_rollback_gives_the_title_back_and_is_written_down(promotions, run_dir):
    promotions.promote(move(1, None))
    promotions.promote(move(2, 1))
    said = rollback_run(run_dir, "clips are noisy")
    assert said == "champion: nava v2 -> v1 (ledger entry 3)"
    assert aliases(promotions) == {CHAMPION: 1, PREVIOUS: 2}
    entry = promotions.ledger.entries()[-1]
    assert (entry.action, entry.approval["reason"]) == ("rollback", "clips are noisy")


def test_what_was_rolled_back_stays_so_when_its_run_is_repeated(promotions, run_dir):
    promotions.promote(move(1, None))
    second = promotions.promote(move(2, 1))
    rollback_run(run_dir, "clips are noisy")
    assert promotions.promote(move(2, 1)) == second
    assert aliases(promotions)[CHAMPION] == 1
    assert len(promotions.ledger.entries()) == 3


def test_rollbacks_can_go_to_and_fro(promotions, run_dir):
    promotions.promote(move(1, None))
    promotions.promote(move(2, 1))
    for champion in (1, 2, 1, 2):
        rollback_run(run_dir, "again")
        assert aliases(promotions)[CHAMPION] == champion
    verify_ledger(promotions.ledger.entries())


def test_rollback_to_a_version_by_number(promotions):
    for version, expected in ((1, None), (2, 1), (3, 2)):
        promotions.promote(move(version, expected))
    promotions.rollback("ada", "far back", to_version=1)
    assert aliases(promotions) == {CHAMPION: 1, PREVIOUS: 3}
    with pytest.raises(InputError, match="v1 is the champion already"):
        promotions.rollback("ada", "again", to_version=1)


def test_there_is_nothing_to_roll_back_to_at_first(promotions, run_dir):
    with pytest.raises(InputError, match="no earlier champion"):
        rollback_run(run_dir, "why not")
    promotions.promote(move(1, None))
    with pytest.raises(InputError, match="no earlier champion"):
        rollback_run(run_dir, "why not")


def serve_checked(promotions, number, package="a" * 64):
    evidence = {"model_package": package, "serve_report": "b" * 64}
    promotions.registry.tag_version(number, {PACKAGE_SHA256_TAG: "a" * 64, EVIDENCE_TAG: json.dumps(evidence)})


def test_a_person_may_promote_and_the_reason_is_kept(promotions, run_dir):
    serve_checked(promotions, 1)
    serve_checked(promotions, 3)
    promote_by_hand(run_dir, 1, "first")
    assert promote_by_hand(run_dir, 3, "it sounds better") == "champion: nava v1 -> v3 (ledger entry 2)"
    entry = promotions.ledger.entries()[-1]
    assert entry.approval["policy"] == "manual"
    assert entry.approval["reason"] == "it sounds better"
    assert entry.approval["approved_by"] == entry.actor
    assert entry.evidence == {"model_package": "a" * 64, "serve_report": "b" * 64}
    with pytest.raises(InputError, match="champion already"):
        promote_by_hand(run_dir, 3, "once more")


def test_a_person_cannot_promote_what_was_never_packaged_or_served(promotions, run_dir):
    with pytest.raises(InputError, match="nava v1 was never packaged"):
        promote_by_hand(run_dir, 1, "why not")
    promotions.registry.tag_version(1, {PACKAGE_SHA256_TAG: "a" * 64})
    with pytest.raises(InputError, match="the package of nava v1 has not passed the serve check"):
        promote_by_hand(run_dir, 1, "why not")
    serve_checked(promotions, 1, package="c" * 64)
    with pytest.raises(InputError, match="the package of nava v1 has not passed the serve check"):
        promote_by_hand(run_dir, 1, "an older package was served")
    with pytest.raises(InputError, match="has no version 9"):
        promote_by_hand(run_dir, 9, "why not")
    assert promotions.ledger.entries() == []
    assert aliases(promotions) == {}


def test_a_rollback_carries_the_evidence_of_the_version_it_returns_to(promotions, run_dir):
    promotions.promote(move(1, None))
    promotions.promote(move(2, 1))
    assert promotions.rollback("ada", "noisy").evidence == {"verdict": "v1"}
    assert promotions.rollback("ada", "not noisy").evidence == {"verdict": "v2"}
    with pytest.raises(InputError, match="v3 was never champion"):
        promotions.rollback("ada", "why not", to_version=3)


def test_a_tampered_ledger_stops_every_move(promotions):
    promotions.promote(move(1, None))
    promotions.promote(move(2, 1))
    _execute(promotions, "UPDATE promotion_ledger SET entry = json_set(entry, '$.actor', 'eve') WHERE sequence = 1")
    with pytest.raises(LedgerBroken, match="entry 1"):
        promotions.promote(move(3, 2))
    assert aliases(promotions)[CHAMPION] == 2


def test_a_shortened_ledger_is_found_by_what_the_registry_knows(promotions):
    promotions.promote(move(1, None))
    promotions.promote(move(2, 1))
    _execute(promotions, "DELETE FROM promotion_ledger WHERE sequence = 2")
    with pytest.raises(LedgerBroken, match="the registry knows a later one"):
        promotions.settle()


def test_a_ledger_that_was_thrown_away_is_found(promotions):
    promotions.promote(move(1, None))
    _execute(promotions, "DELETE FROM promotion_ledger")
    with pytest.raises(LedgerBroken):
        promotions.settle()


def _execute(promotions, statement):
    with promotions.ledger.store.session() as session:
        session.execute(text(statement))


def test_an_empty_run_has_no_versions(tmp_path):
    assert list_versions(tmp_path) == []
    assert current_champion(tmp_path) is None
    assert not (tmp_path / "mlflow.db").exists()
