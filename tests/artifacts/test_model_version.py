import json
from dataclasses import replace

import pytest

from nava.artifacts.model_version import ModelVersion, read_model_version, version_identity, write_model_version
from nava.runtime.errors import InputError

VERSION = ModelVersion(
    name="nava",
    version=3,
    run_id="r1",
    identity=version_identity("e", "c"),
    evidence={"evaluation": "e", "checkpoint": "c"},
    baseline={"version": None, "fingerprint": "untrained", "label": "the untrained model"},
)


def test_read_returns_what_was_written(tmp_path):
    handle = write_model_version(tmp_path / "version.json", VERSION)
    assert read_model_version(handle) == VERSION
    assert handle.meta["version"] == 3
    assert VERSION.label == "nava v3"


def test_the_hash_is_of_the_evidence_not_of_the_registry(tmp_path):
    first = write_model_version(tmp_path / "a.json", VERSION)
    elsewhere = write_model_version(tmp_path / "b.json", replace(VERSION, version=9, run_id="r2"))
    other = write_model_version(tmp_path / "c.json", replace(VERSION, evidence={"evaluation": "x", "checkpoint": "c"}))
    assert first.sha256 == elsewhere.sha256
    assert first.sha256 != other.sha256


def test_the_identity_tells_evaluation_and_checkpoint_apart():
    assert version_identity("a", "b") != version_identity("b", "a")
    assert version_identity("a", "b") == version_identity("a", "b")


def test_another_schema_and_another_kind_are_refused(tmp_path):
    handle = write_model_version(tmp_path / "version.json", VERSION)
    with pytest.raises(InputError, match="model_version"):
        read_model_version(replace(handle, kind="clips"))
    path = tmp_path / "version.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 4}))
    with pytest.raises(InputError, match="schema version 4"):
        read_model_version(handle)
