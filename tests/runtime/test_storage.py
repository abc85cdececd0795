"""Atomic writes: the old content or the new, never a part."""

import math
from pathlib import Path

import pytest

from nava.runtime import storage


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if ".part" in path.name]


def test_json_round_trip_is_sorted_and_ends_with_a_newline(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "value.json"
    storage.write_json(path, {"b": [1, 2.5], "a": "é"})
    assert storage.read_json(path) == {"a": "é", "b": [1, 2.5]}
    assert path.read_text() == '{\n  "a": "é",\n  "b": [\n    1,\n    2.5\n  ]\n}\n'
    assert leftovers(path.parent) == []


def test_a_value_json_cannot_hold_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "value.json"
    storage.write_json(path, 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(path, math.nan)
    assert storage.read_json(path) == 1


def test_a_failed_file_write_leaves_the_old_file_and_no_part(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"old")

    def interrupted() -> None:
        with storage.atomic_file(path) as part:
            assert part.suffix == ".mp4"
            part.write_bytes(b"half")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        interrupted()
    assert path.read_bytes() == b"old"
    assert leftovers(tmp_path) == []


def test_the_names_that_are_written_to_are_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []
    replace = Path.replace
    monkeypatch.setattr(Path, "replace", lambda part, target: seen.append(part) or replace(part, target))
    storage.write_bytes(tmp_path / "00000.safetensors", b"1")
    with storage.atomic_file(tmp_path / "clip.mp4") as part:
        part.write_bytes(b"1")
    with storage.atomic_folder(tmp_path / "codec"):
        pass
    assert len(seen) == 3
    assert all(storage.is_part(part) for part in seen)


@pytest.mark.parametrize(
    "name", ["clip.part", ".part", "a.0123abcd.part", ".a.0123abcd.part.b.c", ".a.xyz.part", ".git"]
)
def test_other_names_are_no_parts(name: str) -> None:
    assert not storage.is_part(Path(name))


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"

    def interrupted() -> None:
        with storage.atomic_folder(path) as part:
            (part / "one").write_text("1")
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        interrupted()
    assert not path.exists()
    for content in ("first", "second"):
        with storage.atomic_folder(path) as part:
            (part / content).write_text(content)
        assert [file.name for file in path.iterdir()] == [content]
    assert leftovers(tmp_path) == []


def test_a_link_is_the_same_file_and_a_copy_where_links_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "clip.wav"
    source.write_bytes(b"sound")
    storage.link_or_copy(source, tmp_path / "deep" / "linked.wav")
    assert (tmp_path / "deep" / "linked.wav").samefile(source)
    with pytest.raises(FileExistsError):
        storage.link_or_copy(source, tmp_path / "deep" / "linked.wav")

    def refused(*_: object) -> None:
        raise PermissionError("no links here")

    monkeypatch.setattr(storage.os, "link", refused)
    storage.link_or_copy(source, tmp_path / "copied.wav")
    assert (tmp_path / "copied.wav").read_bytes() == b"sound"
    assert not (tmp_path / "copied.wav").samefile(source)
