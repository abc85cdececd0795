"""`nava eval gate` and `nava registry promote --benchmark-verdict` from the shell's side."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nava.artifacts.benchmark_verdict import read_signed
from nava.cli import main
from nava.config.registry import RegistryConfig
from nava.registry.mlflow_registry import EVIDENCE_TAG, PACKAGE_SHA256_TAG
from nava.registry.promotion import Promotions
from tests.registry.benchmark_files import ITEMS, ONSET, SYNC, benchmark

RULES = """
schema_version: 1
rules:
  - {task: pocket.test.v1, metric: onset_f1, backend: tracks, minimum: %s, max_regression: 0.05}
  - {task: pocket.test.v1, metric: sync_c.mova, backend: syncnet_mova, minimum: 4, required: false}
"""
PACKAGE = "a" * 64


def nava(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(part) for part in arguments], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def place(tmp_path: Path) -> Path:
    benchmark(tmp_path / "mine", {ONSET: [0.6] * ITEMS, SYNC: [5.0] * ITEMS})
    benchmark(tmp_path / "theirs", {ONSET: [0.55] * ITEMS, SYNC: [5.0] * ITEMS}, model="theirs")
    (tmp_path / "rules.yaml").write_text(RULES % 0.5)
    (tmp_path / "strict.yaml").write_text(RULES % 0.51)
    return tmp_path


def gate(place: Path, *more: object, rules: str = "rules.yaml", out: str = "verdict.json", code: int = 0) -> Result:
    given = ("--rules", place / rules, "--candidate", place / "mine", "--key", place / "keys", "-o", place / out)
    return nava("eval", "gate", *given, *more, code=code)


def verify(place: Path, *more: object, name: str = "verdict.json", code: int = 0) -> Result:
    given = ("--verify", place / name, "--public-key", place / "keys" / "package-signing.pub")
    return nava("eval", "gate", *given, *more, code=code)


def packages(place: Path, name: str) -> tuple[str | None, str | None]:
    """What a verdict says that it is about, and that it compares with."""
    verdict = read_signed(place / name, place / "keys" / "package-signing.pub")
    return verdict.package_sha256, verdict.champion_package_sha256


def test_a_pass_is_signed_shown_and_verified(place: Path) -> None:
    said = gate(place, "--champion", place / "theirs").output
    assert "holds          onset_f1[tracks] on pocket.test.v1: bound: 0.6 [0.5, 0.7], 16 of 16 items" in said
    assert "not applicable sync_c.mova[syncnet_mova] on pocket.test.v1: 5 [4.9, 5.1], 16 of 16 items, unproven" in said
    assert "gate 'benchmark' passed" in said
    page = (place / "verdict.html").read_text()
    assert "Benchmarks of mine" in page
    assert "unproven" in page
    both = ("--candidate", place / "mine", "--champion", place / "theirs")
    assert "unchanged, and 2 results as they were judged" in verify(place, *both).output
    assert "unchanged\n" in verify(place).output


def test_the_verdict_is_about_the_package_that_the_results_say(place: Path) -> None:
    benchmark(place / "packed", {ONSET: [0.6] * ITEMS, SYNC: [5.0] * ITEMS}, package_sha256=PACKAGE)
    given = ("--rules", place / "rules.yaml", "--candidate", place / "packed", "--key", place / "keys")
    nava("eval", "gate", *given, "-o", place / "own.json")
    assert packages(place, "own.json") == (PACKAGE, None)
    other = nava("eval", "gate", *given, "-o", place / "other.json", "--package-sha256", "b" * 64, code=2).output
    assert f"is a result of the package {PACKAGE}, not of {'b' * 64}" in other
    assert not (place / "other.json").exists()
    # One that does not say is taken by the word of whoever signs.
    gate(place, "--champion", place / "packed", "--package-sha256", "c" * 64)
    assert packages(place, "verdict.json") == ("c" * 64, PACKAGE)


def test_a_no_is_written_and_ends_with_3(place: Path) -> None:
    said = gate(place, rules="strict.yaml", code=3).output
    assert "BROKEN" in said
    assert "gate 'benchmark' said no" in said
    assert "BROKEN" in verify(place, code=3).output
    worse = gate(place, "--champion", place / "better", out="second.json", code=2)
    assert "holds no result" in worse.output
    benchmark(place / "better", {ONSET: [0.7] * ITEMS})
    said = gate(place, "--champion", place / "better", out="second.json", code=3).output
    assert "against the champion: better by -0.1" in said


def test_what_was_changed_is_refused_with_1(place: Path) -> None:
    gate(place)
    rows = place / "mine" / "rows.jsonl"
    rows.write_text(rows.read_text().replace("0.6", "0.7"))
    assert "rows.jsonl is not what" in verify(place, "--candidate", place / "mine", code=1).output
    verdict = place / "verdict.json"
    verdict.write_text(verdict.read_text().replace('"minimum":0.5', '"minimum":0.1'))
    assert "was changed" in verify(place, code=1).output


def test_wrong_input_ends_with_2_and_writes_nothing(place: Path) -> None:
    assert "give --rules, --candidate and --out" in nava("eval", "gate", "--rules", "x", code=2).output
    gate(place, "--champion", place / "mine", code=2)
    gate(place, "--champion", place / "theirs", "--champion", place / "theirs", code=2)
    gate(place, "--candidate", place / "theirs", code=2)
    gate(place, "--package-sha256", "abc", code=2)
    gate(place, "--champion-package-sha256", PACKAGE, code=2)
    gate(place, "--version", 1, code=2)
    gate(place, "--public-key", place / "x", code=2)
    gate(place, out="verdict.txt", code=2)
    gate(place, rules="none.yaml", code=2)
    assert not list(place.glob("verdict*"))
    (place / "verdict.json").write_text("{}")
    assert "exists already" in gate(place, code=2).output, "a verdict is never written over"


def test_a_file_that_is_no_verdict_is_refused_with_2(place: Path) -> None:
    gate(place)
    (place / "other.json").write_text("{}")
    assert "is no signed verdict" in verify(place, name="other.json", code=2).output
    assert "no verdict at" in verify(place, name="none.json", code=2).output
    assert "no --rules or --out" in verify(place, "-o", place / "x.json", code=2).output


def test_the_key_may_be_named_by_its_file(place: Path) -> None:
    gate(place)
    gate(place, "--key", place / "keys" / "package-signing.key", out="second.json")
    verify(place, name="second.json")
    said = gate(place, "--key", place / "rules.yaml", out="third.json", code=2).output
    assert "give the folder that holds package-signing.key" in said


@pytest.fixture
def registry(tmp_path: Path) -> Promotions:
    """One version that was packaged and served."""
    promotions = Promotions(RegistryConfig(), tmp_path / "run")
    made = promotions.registry.client.create_run(promotions.registry.experiment_id())
    served = {"model_package": PACKAGE, "serve_report": "c" * 64}
    tags = {PACKAGE_SHA256_TAG: PACKAGE, EVIDENCE_TAG: json.dumps(served)}
    promotions.registry.create_version(made.info.run_id, "file:///nowhere", tags)
    return promotions


def test_from_rules_to_champion(place: Path, registry: Promotions) -> None:
    run = place / "run"
    here = ("--run-dir", run, "--version", 1)
    promote = ("registry", "promote", *here, "--reason", "r", "--benchmark-verdict", place / "verdict.json")
    assert "belong together" in nava(*promote, code=2).output
    key = ("--public-key", place / "keys" / "package-signing.pub")
    gate(place, out="unnamed.json")
    unnamed = (*promote[:-1], place / "unnamed.json", *key)
    assert "does not say that it is about the package of nava v1" in nava(*unnamed, code=2).output
    assert "has no version 9" in gate(place, "--run-dir", run, "--version", 9, code=2).output
    gate(place, *here)
    assert "nava no version -> v1" in nava(*promote, *key).output
    listed = json.loads(nava("registry", "list", "--run-dir", run).output)
    assert listed["aliases"] == ["champion"]
    (entry,) = registry.ledger.entries()
    assert entry.evidence["benchmark_verdict"] == listed["tags"]["nava.benchmark_verdict_sha256"]
