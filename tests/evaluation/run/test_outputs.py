"""Which file belongs to which item, in the forms in which models leave them."""

import json
from pathlib import Path

import pytest

from nava.evaluation.benchmark.item import Item
from nava.evaluation.run.outputs import find_outputs
from nava.runtime.errors import InputError

ITEMS = [Item("set1-12", "set1", "p"), Item("set2-12", "set2", "p"), Item("set1-1", "set1", "p")]


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def names(found: dict[str, Path], folder: Path) -> dict[str, str]:
    return {item: str(path.relative_to(folder)) for item, path in found.items()}


def test_files_go_by_the_item_s_id(tmp_path: Path) -> None:
    touch(tmp_path, "set1-12.mp4", "set2-12.wav", "notes.txt", "other.mp4")
    found, spare = find_outputs(tmp_path, ITEMS)
    assert names(found, tmp_path) == {"set1-12": "set1-12.mp4", "set2-12": "set2-12.wav"}
    assert spare == ["other.mp4"]


def test_or_by_a_folder_of_the_subset(tmp_path: Path) -> None:
    touch(tmp_path, "set1/12.mp4", "set2/12.mp4", "set1/1.mp4")
    found, spare = find_outputs(tmp_path, ITEMS)
    assert names(found, tmp_path) == {"set1-12": "set1/12.mp4", "set2-12": "set2/12.mp4", "set1-1": "set1/1.mp4"}
    assert spare == []


def test_a_recording_beside_a_video_is_its_copy(tmp_path: Path) -> None:
    touch(tmp_path, "set1/12.mp4", "set1/12.wav")
    found, _ = find_outputs(tmp_path, ITEMS)
    assert names(found, tmp_path) == {"set1-12": "set1/12.mp4"}


def test_what_models_put_behind_an_id_may_follow_and_ids_that_begin_alike_are_kept_apart(tmp_path: Path) -> None:
    touch(tmp_path, "set1-1_seed42.mp4", "set1-12-sample.mp4")
    found, spare = find_outputs(tmp_path, ITEMS)
    assert names(found, tmp_path) == {"set1-1": "set1-1_seed42.mp4", "set1-12": "set1-12-sample.mp4"}
    assert spare == []
    touch(tmp_path, "set1-1_seed43.mp4")
    with pytest.raises(InputError, match="several files for item set1-1"):
        find_outputs(tmp_path, ITEMS)


def test_a_mapping_decides(tmp_path: Path) -> None:
    touch(tmp_path, "set1-12.mp4", "deep/x.mp4")
    mapping = tmp_path / "outputs.jsonl"
    mapping.write_text(json.dumps({"item_id": "set1-12", "path": "deep/x.mp4"}))
    found, spare = find_outputs(tmp_path, ITEMS)
    assert names(found, tmp_path.resolve()) == {"set1-12": "deep/x.mp4"}
    assert spare == ["set1-12.mp4"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"item_id": "set1-12", "path": "../x.mp4"}', "line 1: path '../x.mp4' leads out of the folder"),
        ('{"item_id": "set9-12", "path": "x.mp4"}', "line 1: the benchmark has no item 'set9-12'"),
        ('{"item_id": "set1-12"}', "line 1: must be an object with item_id and path"),
        ("[", "line 1: must be an object"),
    ],
)
def test_a_wrong_line_of_a_mapping_is_named(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "outputs.jsonl").write_text(line)
    with pytest.raises(InputError, match=message):
        find_outputs(tmp_path, ITEMS)


def test_a_folder_that_is_none_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder of outputs"):
        find_outputs(tmp_path / "nowhere", ITEMS)
