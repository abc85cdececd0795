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


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (("set1-12 a.mp4", "set1-12 b.mp4"), "line 2: item 'set1-12' is there a second time"),
        (("set1-12 a.mp4", "set1-1 a.mp4"), "line 2: the file 'a.mp4' is there a second time, for another item"),
        (("set1-12 c.mp4",), r"line 1: there is no file 'c\.mp4'"),
    ],
)
def test_a_mapping_gives_each_item_a_file_of_its_own(tmp_path: Path, lines: tuple[str, ...], message: str) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    values = [dict(zip(("item_id", "path"), line.split(), strict=True)) for line in lines]
    (tmp_path / "outputs.jsonl").write_text("\n".join(map(json.dumps, values)))
    with pytest.raises(InputError, match=message):
        find_outputs(tmp_path, ITEMS)


def test_a_mapping_decides_for_layouts_of_models_too(tmp_path: Path) -> None:
    touch(tmp_path, "set1-12.mp4", "deep/x.mp4")
    (tmp_path / "outputs.jsonl").write_text(json.dumps({"item_id": "set1-12", "path": "deep/x.mp4"}))
    found, spare = find_outputs(tmp_path, ITEMS, "mova")
    assert names(found, tmp_path.resolve()) == {"set1-12": "deep/x.mp4"}
    assert spare == ["set1-12.mp4"]


def test_layouts_by_id_take_folders_of_subsets_and_the_longest_id(tmp_path: Path) -> None:
    touch(tmp_path, "set1/12.mp4", "set2/12.mp4", "set1-1.mp4", "set1-1-old.mp4", "set2-12.wav")
    found, spare = find_outputs(tmp_path, ITEMS, "ltx-2.3")
    assert names(found, tmp_path) == {"set1-12": "set1/12.mp4", "set2-12": "set2/12.mp4", "set1-1": "set1-1.mp4"}
    assert spare == ["set1-1-old.mp4", "set2-12.wav"]
    alike = [Item("utt", "en", "p"), Item("utt_1", "en", "p")]
    touch(tmp_path / "speech", "utt.wav", "utt_1.wav")
    for order in (alike, alike[::-1]):
        assert names(find_outputs(tmp_path / "speech", order, "cosyvoice")[0], tmp_path / "speech") == {
            "utt": "utt.wav",
            "utt_1": "utt_1.wav",
        }
    # Pieces of a long text are not one recording.
    touch(tmp_path / "pieces", "utt_0.wav", "utt_2.wav")
    with pytest.raises(InputError, match="several files for item utt"):
        find_outputs(tmp_path / "pieces", alike, "cosyvoice")


def test_an_unknown_layout_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no layout 'sora' of outputs; there are default, ovi-1\.0"):
        find_outputs(tmp_path, ITEMS, "sora")
