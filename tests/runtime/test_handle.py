"""Handles: what passes between steps, through KFP's JSON and back."""

from pathlib import Path

import pytest

from nava.runtime.errors import InputError
from nava.runtime.handle import Handle

SHA = "0" * 64


def test_a_handle_of_a_path_hashes_its_content_and_not_its_place(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("content")
    one, two = (Handle.of_path("clips", tmp_path / name, clips=1) for name in ("one", "two"))
    assert one.sha256 == two.sha256
    assert one.path == tmp_path / "one"
    assert one.meta == {"clips": 1}


def test_json_and_back() -> None:
    handle = Handle("clips", "/clips", SHA, {"clips": 3})
    value = handle.to_dict()
    value["schema_version"] = 1.0  # as KFP gives numbers back
    assert Handle.from_dict(value) == handle


def test_facts_without_a_value_are_left_out_since_kfp_carries_no_null() -> None:
    meta = {"a": None, "b": {"c": None, "d": 1}, "e": [None, 2]}
    assert Handle("clips", "/clips", SHA, meta).to_dict()["meta"] == {"b": {"d": 1}, "e": [2]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"kind": "clips", "uri": "/clips"}, "without sha256"),
        ({"kind": "a", "uri": "b", "sha256": SHA, "x": 1}, "field x"),
    ],
)
def test_a_malformed_handle_is_refused(value: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Handle.from_dict(value)


def test_the_wrong_kind_is_refused() -> None:
    with pytest.raises(InputError, match="expected a handle of kind 'checkpoint', got 'clips'"):
        Handle("clips", "/clips", SHA).require("checkpoint")


def test_a_remote_artifact_has_no_path_here() -> None:
    with pytest.raises(InputError, match="not on this machine"):
        _ = Handle("clips", "s3://bucket/clips", SHA).path
    assert Handle("clips", "file:///a%20b", SHA).path == Path("/a b")
