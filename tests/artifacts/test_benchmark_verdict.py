"""A signed verdict: nothing of it can be changed, and no other key's word counts."""

import json
from pathlib import Path
from typing import Any

import pytest

from nava.artifacts.benchmark_verdict import BenchmarkVerdict, ResultEvidence, read_signed, write_signed
from nava.artifacts.gate_verdict import RuleResult
from nava.artifacts.signature import SignatureRefused, SigningKey, ensure_signing_key
from nava.runtime.errors import InputError
from nava.runtime.hashing import canonical_json, sha256_file

EVIDENCE = ResultEvidence("mine", "t.e.v1", "e", "0" * 64, 3, "1" * 64, "2" * 64, [{"column": "a[b]", "value": 0.1}])


def verdict(**changes: Any) -> BenchmarkVerdict:
    fields = {
        "passed": False,
        "nava_version": "0",
        "package_sha256": "a" * 64,
        "champion_package_sha256": None,
        "seed": 0,
        "rules": [{"metric": "a", "max_regression": None}],
        "results": [RuleResult("a[b]: ünder", False, "0.1", "0.2", ["i1"], "why")],
        "candidate": [EVIDENCE],
        "champion": [],
    }
    return BenchmarkVerdict(**{**fields, **changes})


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> SigningKey:
    return ensure_signing_key(tmp_path_factory.mktemp("keys"))


@pytest.fixture(scope="module")
def signed(tmp_path_factory: pytest.TempPathFactory, key: SigningKey) -> Path:
    path = tmp_path_factory.mktemp("verdict") / "verdict.json"
    assert write_signed(path, verdict(), key) == sha256_file(path)
    return path


def test_a_verdict_is_read_as_it_was_written_wherever_it_lies(tmp_path: Path, signed: Path, key: SigningKey) -> None:
    moved = tmp_path / "other name.json"
    moved.write_bytes(signed.read_bytes())
    assert read_signed(moved, key.public) == verdict()
    # Laid out anew it still says the same.
    moved.write_text(json.dumps(json.loads(signed.read_text()), indent=3))
    assert read_signed(moved, key.public) == verdict()


def test_the_file_is_canonical(signed: Path) -> None:
    text = signed.read_text(encoding="utf-8")
    assert text == canonical_json(json.loads(text)) + "\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"passed":false,"results"', '"passed":true,"results"'),
        ('"value":0.1', '"value":0.9'),
        ('"package_sha256":"aaaa', '"package_sha256":"baaa'),
        ('"rows_sha256":"2222', '"rows_sha256":"3222'),
        ('"seed":0', '"seed":0,"more":1'),
        ('"note":"why",', ""),
    ],
)
def test_a_changed_verdict_is_refused(tmp_path: Path, signed: Path, key: SigningKey, old: str, new: str) -> None:
    text = signed.read_text(encoding="utf-8")
    assert text.count(old) == 1
    changed = tmp_path / "verdict.json"
    changed.write_text(text.replace(old, new))
    with pytest.raises(SignatureRefused, match=r"benchmark_verdict\.json was changed") as caught:
        read_signed(changed, key.public)
    assert str(changed) in str(caught.value)


def test_the_signature_of_another_verdict_is_refused(tmp_path: Path, signed: Path, key: SigningKey) -> None:
    other = tmp_path / "other.json"
    write_signed(other, verdict(passed=True), key)
    mixed = json.loads(other.read_text()) | {"signature": json.loads(signed.read_text())["signature"]}
    other.write_text(json.dumps(mixed))
    with pytest.raises(SignatureRefused):
        read_signed(other, key.public)


def test_a_damaged_signature_is_refused(tmp_path: Path, signed: Path, key: SigningKey) -> None:
    value = json.loads(signed.read_text())
    for number, bundle in enumerate(({}, {"dsseEnvelope": {}}, "text", None)):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps({**value, "signature": bundle}))
        with pytest.raises(SignatureRefused):
            read_signed(path, key.public)


def test_another_key_is_refused(tmp_path: Path, signed: Path) -> None:
    other = ensure_signing_key(tmp_path / "keys")
    with pytest.raises(SignatureRefused, match="Key mismatch") as caught:
        read_signed(signed, other.public)
    assert str(signed) in str(caught.value)


def test_what_is_no_verdict_is_refused(tmp_path: Path, signed: Path, key: SigningKey) -> None:
    path = tmp_path / "verdict.json"
    with pytest.raises(InputError, match="no verdict at"):
        read_signed(path, key.public)
    with pytest.raises(InputError, match="no public key at"):
        read_signed(signed, tmp_path / "none.pub")
    for text in ("", "[]", "{}", '{"verdict": {"a": NaN}, "signature": {}}'):
        path.write_text(text)
        with pytest.raises(InputError, match="is no signed verdict"):
            read_signed(path, key.public)


def test_a_verdict_of_another_kind_or_version_is_refused_though_it_is_signed(tmp_path: Path, key: SigningKey) -> None:
    for number, changes in enumerate(({"kind": "other"}, {"schema_version": 2})):
        path = tmp_path / f"{number}.json"
        write_signed(path, verdict(**changes), key)
        with pytest.raises(InputError, match="this code reads 'benchmark_verdict', schema version 1"):
            read_signed(path, key.public)
