import json

import pytest

from nava.artifacts.run_record import RunRecord, read_run_record, write_run_record
from nava.runtime.errors import InputError


@pytest.fixture
def record():
    return RunRecord(
        git_sha="a" * 40,
        git_dirty=False,
        data_sha256="d" * 64,
        shards_sha256="s" * 64,
        checkpoint_sha256="c" * 64,
        evaluation_sha256="e" * 64,
        config_sha256="f" * 64,
        config={"training": {"steps": 3}},
        image_digests=None,
        seed=7,
        python="3.11",
        libraries={"torch": "2.13.0"},
        hardware={"cores": 2},
        cost={"core_seconds": 12.5, "currency": None},
    )


def test_read_returns_what_was_written(tmp_path, record):
    write_run_record(tmp_path / "record.json", record)
    assert read_run_record(tmp_path / "record.json") == record


def test_the_record_has_every_fact_of_the_design(record):
    assert {
        "git_sha",
        "git_dirty",
        "data_sha256",
        "config_sha256",
        "image_digests",
        "seed",
        "libraries",
        "hardware",
        "cost",
    } <= set(record.to_dict())


@pytest.mark.parametrize(
    ("change", "message"), [({"schema_version": 5}, "schema version 5"), ({"surprise": 1}, "surprise")]
)
def test_another_schema_is_refused(tmp_path, record, change, message):
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record.to_dict() | change))
    with pytest.raises(InputError, match=message):
        read_run_record(path)


def test_a_missing_fact_is_named(tmp_path, record):
    value = record.to_dict()
    del value["seed"]
    (tmp_path / "record.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match="seed"):
        read_run_record(tmp_path / "record.json")
