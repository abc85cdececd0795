"""Benchmark results and verdicts over a real registry: the run's own, the champion's, and what promotion asks for."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nava.artifacts.benchmark_verdict import read_signed, write_signed
from nava.artifacts.gate_verdict import GateVerdict, read_verdict
from nava.artifacts.promotion_ledger import verify_ledger
from nava.artifacts.signature import SignatureRefused, SigningKey, ensure_signing_key
from nava.config.registry import RegistryConfig
from nava.evaluation.run.result_files import read_result_files
from nava.registry.benchmark_evidence import VERDICT_TAG, VERDICTS_ARTIFACT, check_evidence
from nava.registry.benchmark_gate import Compared, judge
from nava.registry.gate_step import champion_identity, gate
from nava.registry.mlflow_registry import CHAMPION, EVIDENCE_TAG, PACKAGE_SHA256_TAG
from nava.registry.package_step import package
from nava.registry.promote_step import promote
from nava.registry.promotion import Promotions, promote_by_hand, rollback_run
from nava.registry.register_step import register
from nava.runtime.errors import GateFailed, InputError
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_file
from tests.registry.benchmark_files import FLICKER, ITEMS, ONSET, TASK, benchmark, rule
from tests.registry.run_folder import Run, result

PACKAGES = {1: "a" * 64, 2: "b" * 64}


@pytest.fixture
def promotions(run: Run) -> Promotions:
    """A registry with two versions that were packaged and served."""
    found = Promotions(RegistryConfig(), run.root)
    experiment = found.registry.experiment_id()
    for number, sha256 in PACKAGES.items():
        made = found.registry.client.create_run(experiment)
        served = {"model_package": sha256, "serve_report": "c" * 64}
        tags = {PACKAGE_SHA256_TAG: sha256, EVIDENCE_TAG: json.dumps(served), "number": str(number)}
        found.registry.create_version(made.info.run_id, "file:///nowhere", tags)
    return found


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return ensure_signing_key(tmp_path / "keys")


def signed(folder: Path, key: SigningKey, number: int, against: int | None = None, **changes: Any) -> Path:
    """A verdict on a good result of a version, compared with a champion's."""
    own = {TASK: read_result_files(benchmark(folder / "results" / "mine", {ONSET: [0.6] * ITEMS}))}
    theirs = {TASK: read_result_files(benchmark(folder / "results" / "theirs", {ONSET: [0.5] * ITEMS}))}
    other = (theirs, PACKAGES[against]) if against else (None, None)
    compared = Compared(own, other[0], PACKAGES[number], other[1])
    verdict = judge([rule(minimum=0.4, max_regression=0.1)], compared, seed=0)
    path = folder / f"verdict-{number}.json"
    write_signed(path, replace(verdict, **changes), key)
    return path


def promoted(run: Run, number: int, verdict: Path, key: SigningKey) -> str:
    return promote_by_hand(run.root, number, "it is better", benchmark_verdict=(verdict, key.public))


def test_a_version_is_promoted_on_its_verdict_which_the_registry_keeps(
    run: Run, promotions: Promotions, tmp_path: Path, key: SigningKey
) -> None:
    first = signed(tmp_path, key, 1)
    assert promoted(run, 1, first, key) == "champion: nava no version -> v1 (ledger entry 1)"
    second = signed(tmp_path, key, 2, against=1)
    promoted(run, 2, second, key)
    sha256 = sha256_file(second)
    entries = promotions.ledger.entries()
    verify_ledger(entries)
    assert entries[1].evidence == {
        "model_package": PACKAGES[2],
        "serve_report": "c" * 64,
        "benchmark_verdict": sha256,
        "benchmark_verdict_key": key.fingerprint,
    }
    version = promotions.registry.version(2)
    assert version is not None
    assert version.tags[VERDICT_TAG] == sha256
    kept = promotions.registry.download(version.run_id, f"{VERDICTS_ARTIFACT}/{sha256}.json", tmp_path / "kept")
    assert read_signed(kept, key.public).passed
    rollback_run(run.root, "noisy")
    assert promotions.ledger.entries()[-1].evidence["benchmark_verdict"] == sha256_file(first)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"passed": False}, "said no"),
        ({"package_sha256": None}, "does not say that it is about the package of nava v2"),
        ({"package_sha256": "d" * 64}, f"is about package {'d' * 64}, but that of nava v2 is {PACKAGES[2]}"),
        ({"champion": []}, "was judged without the champion, nava v1"),
        ({"champion_package_sha256": None}, "does not say that it is about the package of nava v1"),
        ({"champion_package_sha256": "d" * 64}, "but that of nava v1 is"),
    ],
)
def test_a_verdict_that_is_no_pass_or_about_something_else_promotes_nothing(
    run: Run, promotions: Promotions, tmp_path: Path, key: SigningKey, changes: dict[str, Any], message: str
) -> None:
    promote_by_hand(run.root, 1, "first")
    with pytest.raises(InputError, match=message):
        promoted(run, 2, signed(tmp_path, key, 2, against=1, **changes), key)
    assert promotions.registry.aliases() == {CHAMPION: 1}
    assert len(promotions.ledger.entries()) == 1
    version = promotions.registry.version(2)
    assert version is not None
    assert VERDICT_TAG not in version.tags


def test_a_verdict_that_compares_nothing_needs_no_champion(
    run: Run, promotions: Promotions, tmp_path: Path, key: SigningKey
) -> None:
    promote_by_hand(run.root, 1, "first")
    path = signed(tmp_path, key, 2, rules=[{"max_regression": None}])
    assert promoted(run, 2, path, key).startswith("champion: nava v1 -> v2")


def test_a_forged_verdict_or_another_key_promotes_nothing(
    run: Run, promotions: Promotions, tmp_path: Path, key: SigningKey
) -> None:
    path = signed(tmp_path, key, 1)
    other = ensure_signing_key(tmp_path / "other")
    with pytest.raises(SignatureRefused, match="Key mismatch"):
        promoted(run, 1, path, other)
    path.write_text(path.read_text().replace(PACKAGES[1], PACKAGES[2]))
    with pytest.raises(SignatureRefused, match="was changed"):
        promoted(run, 2, path, key)
    assert promotions.registry.aliases() == {}


def test_evidence_is_held_against_the_files(tmp_path: Path, key: SigningKey) -> None:
    path = signed(tmp_path, key, 2, against=1)
    verdict = read_signed(path, key.public)
    mine, theirs = tmp_path / "results" / "mine", tmp_path / "results" / "theirs"
    check_evidence(verdict, path, [mine], [theirs])
    for candidate, champion in (([theirs], []), ([], [mine])):
        with pytest.raises(SignatureRefused, match=r"is not what .* rests on"):
            check_evidence(verdict, path, candidate, champion)
    for name in ("rows.jsonl", "summary.json"):
        content = (mine / name).read_text()
        (mine / name).write_text(content + "\n")
        with pytest.raises(SignatureRefused, match=f"{name} is not what"):
            check_evidence(verdict, path, [mine], [theirs])
        (mine / name).write_text(content)
    other = benchmark(tmp_path / "other", {ONSET: [0.6] * ITEMS}, task="other.v1")
    with pytest.raises(SignatureRefused, match=r"no candidate result of other\.v1"):
        check_evidence(verdict, path, [other], [])


def with_rules(run: Run, *rules: Any) -> None:
    run.sections["promotion"] = {"benchmark_rules": [vars(asked) for asked in rules]}


def held(run: Run, checkpoint: Handle, value: float, name: str = "pocket") -> Path:
    """A benchmark result of a checkpoint's model, where a run holds it."""
    return benchmark(run.root / "benchmarks" / checkpoint.sha256 / name, {ONSET: [value] * ITEMS})


def evaluation(run: Run, gap: float, checkpoint: Handle) -> Handle:
    checked = {"sha256": checkpoint.sha256, "weights_sha256": "w"}
    return run.evaluation(gap, result(gap, checkpoint=checked))


def gated(run: Run, gap: float, checkpoint: Handle, key: str = "k") -> tuple[Handle, GateVerdict]:
    handle = gate(run.step("gate", f"{key}-{gap}"), evaluation(run, gap, checkpoint))
    return handle, read_verdict(handle)


def champion(run: Run, gap: float, checkpoint: Handle) -> Handle:
    """Through all steps; the gate's verdict."""
    evaluated = evaluation(run, gap, checkpoint)
    verdict = gate(run.step("gate", f"c-{gap}"), evaluated)
    version = register(run.step("register"), evaluated, verdict, checkpoint, run.shards(), run.corpus())
    packaged = package(run.step("package"), version, checkpoint, run.shards())
    served = run.root / "inputs" / "serve"
    served.mkdir(parents=True, exist_ok=True)
    (served / "report.json").write_text("{}")
    promotion = promote(run.step("promote"), version, verdict, packaged, Handle.of_path("serve_report", served))
    assert promotion.meta["promoted"]
    return verdict


def test_without_rules_the_life_cycles_verdict_is_what_it_was(run: Run) -> None:
    checkpoint = run.checkpoint()
    held(run, checkpoint, 0.1)
    handle, verdict = gated(run, 0.5, checkpoint)
    assert len(verdict.rules) == 5
    assert sorted(path.name for path in handle.path.iterdir()) == ["verdict.html", "verdict.json"]
    assert champion_identity(run.step("gate"), evaluation(run, 0.5, checkpoint)) == "untrained"


@pytest.mark.parametrize(("required", "passed"), [(True, False), (False, True)])
def test_a_run_without_results_breaks_rules_that_are_required(run: Run, required: bool, passed: bool) -> None:
    checkpoint = run.checkpoint()
    held(run, run.checkpoint("an earlier one"), 0.9)
    with_rules(run, rule(minimum=0.5, required=required))
    if passed:
        _, verdict = gated(run, 0.5, checkpoint)
    else:
        with pytest.raises(GateFailed, match=r"onset_f1\[tracks\] on pocket") as caught:
            gated(run, 0.5, checkpoint)
        verdict = read_verdict(caught.value.verdict)
    (found,) = [entry for entry in verdict.rules if "onset" in entry.rule]
    assert found.passed is (None if passed else False)
    assert f"no result of this task in benchmarks/{checkpoint.sha256}" in found.note


def test_the_gate_judges_the_results_that_the_run_holds_of_the_checkpoint(run: Run) -> None:
    checkpoint = run.checkpoint()
    with_rules(run, rule(minimum=0.5), rule(FLICKER, maximum=5.0, required=False))
    evaluated = evaluation(run, 0.5, checkpoint)
    before = champion_identity(run.step("gate"), evaluated)
    held(run, checkpoint, 0.3)
    without = champion_identity(run.step("gate"), evaluated)
    with pytest.raises(GateFailed, match=r"observed 0\.3 \[0\.2, 0\.4\], 16 of 16 items, expected at least 0\.5"):
        gated(run, 0.5, checkpoint)
    place = held(run, checkpoint, 0.7)
    assert len({before, without, champion_identity(run.step("gate"), evaluated)}) == 3
    handle, verdict = gated(run, 0.5, checkpoint)
    assert verdict.passed
    copies = handle.path / "benchmarks"
    assert (copies / "0" / "rows.jsonl").read_bytes() == (place / "rows.jsonl").read_bytes()
    evidence = json.loads((copies / "evidence.json").read_text())
    assert evidence["candidate"][0]["summary_sha256"] == sha256_file(copies / "0" / "summary.json")
    again, _ = gated(run, 0.5, checkpoint, "again")
    assert again.sha256 == handle.sha256, "the same results make the same verdict, whenever it is asked for"


def test_results_as_nava_eval_score_leaves_them_are_found(run: Run) -> None:
    checkpoint = run.checkpoint()
    held(run, checkpoint, 0.7, "pocket/result")
    with_rules(run, rule(minimum=0.5))
    assert gated(run, 0.5, checkpoint)[1].passed


def test_a_candidate_is_compared_with_the_results_that_its_champion_was_registered_with(run: Run) -> None:
    first, second = run.checkpoint("first"), run.checkpoint("second")
    place = held(run, first, 0.7)
    with_rules(run, rule(minimum=0.1, max_regression=0.05))
    verdict = champion(run, 0.5, first)
    again, _ = gated(run, 0.5, first, "again")
    assert again.sha256 == verdict.sha256, "promoted, it is judged as before"
    # The run may lose them: the registry has its own.
    for path in place.iterdir():
        path.unlink()
    held(run, second, 0.6)
    with pytest.raises(GateFailed, match=r"against the champion: observed better by -0\.1"):
        gated(run, 0.6, second)
    held(run, second, 0.65)
    _, verdict_of_second = gated(run, 0.6, second)
    assert verdict_of_second.passed


def test_results_of_a_champion_from_before_the_rules_may_be_put_beside_the_candidates(run: Run) -> None:
    first, second = run.checkpoint("first"), run.checkpoint("second")
    champion(run, 0.5, first)
    with_rules(run, rule(max_regression=0.05))
    held(run, second, 0.6)
    with pytest.raises(GateFailed, match="against the champion"):
        gated(run, 0.6, second)
    before = champion_identity(run.step("gate"), evaluation(run, 0.6, second))
    held(run, first, 0.62)
    assert champion_identity(run.step("gate"), evaluation(run, 0.6, second)) != before
    assert gated(run, 0.6, second)[1].passed


def test_a_configured_rule_without_a_meaning_stops_the_gate(run: Run) -> None:
    with_rules(run, rule("onset_f1[ears]", minimum=0.5))
    with pytest.raises(InputError, match=r"promotion\.benchmark_rules\[0\]\.backend"):
        gated(run, 0.5, run.checkpoint())
