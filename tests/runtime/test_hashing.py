"""Content hashes depend on content and nothing else."""

import hashlib
import os
from pathlib import Path

import pytest

from nava.runtime import hashing


def tree(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_file_hash_is_sha256(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc" * hashing.CHUNK_BYTES)
    assert hashing.sha256_file(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_tree_hash_ignores_place_time_and_order(tmp_path: Path) -> None:
    one = tree(tmp_path / "one", {"a": "1", "b/c": "2"})
    two = tree(tmp_path / "two", {"b/c": "2", "a": "1"})
    os.utime(two / "a", (0, 0))
    assert hashing.sha256_tree(one) == hashing.sha256_tree(two)


@pytest.mark.parametrize(
    "files", [{"a": "1", "b/c": "3"}, {"a": "1", "b/d": "2"}, {"a": "1"}, {"a": "1", "b/c": "2", "e": ""}]
)
def test_tree_hash_sees_content_names_and_absence(tmp_path: Path, files: dict[str, str]) -> None:
    base = hashing.sha256_tree(tree(tmp_path / "base", {"a": "1", "b/c": "2"}))
    assert hashing.sha256_tree(tree(tmp_path / "other", files)) != base


def test_tree_hash_ignores_what_a_killed_write_left(tmp_path: Path) -> None:
    clean = hashing.sha256_tree(tree(tmp_path / "tree", {"a": "1", "b/c": "2"}))
    tree(
        tmp_path / "tree", {"b/.c.0123abcd.part": "half", "b/.0123abcd.part.mp4": "half", ".d.0123abcd.part/e": "half"}
    )
    assert hashing.sha256_tree(tmp_path / "tree") == clean
    tree(tmp_path / "tree", {"b/c.part": "a name that a user chose"})
    assert hashing.sha256_tree(tmp_path / "tree") != clean


def test_json_hash_ignores_key_order_and_refuses_nan() -> None:
    assert hashing.sha256_json({"a": 1, "b": 2}) == hashing.sha256_json({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        hashing.sha256_json(float("nan"))
