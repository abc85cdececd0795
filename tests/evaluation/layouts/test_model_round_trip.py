"""Requests go out, each model's script writes under its own naming, and every file comes back to its item."""

from dataclasses import replace
from pathlib import Path

import pytest

from nava.evaluation.layouts.asked import RequestFile, read_request_file
from nava.evaluation.layouts.forms import REQUEST_FORMS
from nava.evaluation.layouts.layout import OUTPUT_LAYOUTS
from nava.evaluation.run.outputs import find_outputs
from nava.rewriting.formats import FORMATS
from nava.runtime.errors import InputError
from tests.evaluation.layouts import foreign_scripts
from tests.evaluation.layouts.scenes import ask, scenes

MODELS = tuple(REQUEST_FORMS)
TALKS = {"talk-0", "talk-1"}
TAKEN = {
    "mova": 8,
    **dict.fromkeys(("dreamid-omni", "cosyvoice", "cosyvoice2", "qwen2.5-omni", "nava-release-seed-tts"), 2),
}


def got(requests: RequestFile) -> dict[str, str]:
    """The text that the model was given of each item."""
    return {
        entry.item_id: next(entry.inputs[name] for name in ("prompt", "text_prompt", "text") if name in entry.inputs)
        for entry in requests.asked
    }


def came_back(found: dict[str, Path]) -> dict[str, str]:
    return {item_id: path.read_text() for item_id, path in found.items()}


def test_every_model_has_a_format_a_form_and_a_layout() -> None:
    assert set(MODELS) == set(OUTPUT_LAYOUTS)
    assert all(form.format in FORMATS and form.source for form in REQUEST_FORMS.values())
    assert {form.format for form in REQUEST_FORMS.values()} == set(FORMATS)


@pytest.mark.parametrize("model", MODELS)
def test_each_file_comes_back_to_its_item(model: str, tmp_path: Path) -> None:
    items = scenes(tmp_path / "data")
    requests = ask(model, items, tmp_path / "out")
    assert len(requests.asked) == TAKEN.get(model, 9)
    assert len(requests.asked) + len(requests.not_taken) == len(items)
    foreign_scripts.run(model, tmp_path / "out" / "inputs", tmp_path / "made")
    found, spare = find_outputs(tmp_path / "made", items, model, read_request_file(tmp_path / "out"))
    assert came_back(found) == got(requests)
    assert spare == []


@pytest.mark.parametrize("model", [name for name in MODELS if OUTPUT_LAYOUTS[name].stems])
def test_files_named_by_id_need_no_request_file(model: str, tmp_path: Path) -> None:
    items = scenes(tmp_path / "data")
    requests = ask(model, items, tmp_path / "out")
    foreign_scripts.run(model, tmp_path / "out" / "inputs", tmp_path / "made")
    assert came_back(find_outputs(tmp_path / "made", items, model)[0]) == got(requests)


@pytest.mark.parametrize("model", ["ovi-1.1", "nava-release"])
def test_files_named_by_prompt_need_it(model: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"layout {model} names files by prompt"):
        find_outputs(tmp_path, scenes(tmp_path / "data"), model)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_ovi_s_equal_names_are_told_apart_by_rank_and_number(ranks: int, tmp_path: Path) -> None:
    items = scenes(tmp_path / "data")
    requests = ask("ovi-1.1", items, tmp_path / "out")
    stems = [entry.stem for entry in requests.asked if entry.item_id.startswith("impact")]
    assert len(set(stems)) == 1
    foreign_scripts.ovi(tmp_path / "out" / "inputs", tmp_path / "made", ranks)
    found, _ = find_outputs(tmp_path / "made", items, "ovi-1.1", requests)
    assert came_back(found) == got(requests)


def test_ovi_s_equal_names_are_not_guessed_when_a_file_is_missing(tmp_path: Path) -> None:
    items = scenes(tmp_path / "data")
    requests = ask("ovi-1.1", items, tmp_path / "out")
    foreign_scripts.ovi(tmp_path / "out" / "inputs", tmp_path / "made")
    next((tmp_path / "made" / "i2v").glob("A_face,_number_0*")).unlink()
    with pytest.raises(InputError, match=r"may be of several items \(impact-0, impact-1, impact-2"):
        find_outputs(tmp_path / "made", items, "ovi-1.1", requests)
    # Without those, a missing file is no more than that.
    for path in (tmp_path / "made").rglob("A_ball*"):
        path.unlink()
    found, _ = find_outputs(tmp_path / "made", items, "ovi-1.1", requests)
    assert set(found) == {"talk-1", "dialog-0", "silent-1", "silent-11"}
    assert came_back(found).items() <= got(requests).items()


def test_ovi_s_numbers_that_contradict_the_words_do_not_decide(tmp_path: Path) -> None:
    items = scenes(tmp_path / "data")
    requests = ask("ovi-1.1", items, tmp_path / "out")
    foreign_scripts.ovi(tmp_path / "out" / "inputs", tmp_path / "made")
    for path in sorted((tmp_path / "made" / "i2v").iterdir(), key=lambda path: path.stem):
        number = (int(path.stem.rpartition("_")[2]) + 1) % 8
        path.rename(path.with_name(f"{path.stem.rpartition('_')[0]}_{number}.part"))
    for path in list((tmp_path / "made" / "i2v").iterdir()):
        path.rename(path.with_suffix(".mp4"))
    with pytest.raises(InputError, match="may be of several items"):
        find_outputs(tmp_path / "made", items, "ovi-1.1", requests)


def test_two_seeds_of_one_item_are_refused(tmp_path: Path) -> None:
    items = [item for item in scenes(tmp_path / "data") if item.subset != "impact"]
    requests = ask("ovi-1.0", items, tmp_path / "out")
    foreign_scripts.ovi(tmp_path / "out" / "inputs", tmp_path / "made", seeds=2)
    with pytest.raises(InputError, match=r"several files for item .*\(seed 100\).*\(seed 101\)"):
        find_outputs(tmp_path / "made", items, "ovi-1.0", requests)


def test_a_mixture_of_two_runs_is_refused(tmp_path: Path) -> None:
    items = scenes(tmp_path / "data")
    ask("dreamid-omni", items, tmp_path / "out")
    foreign_scripts.dreamid_omni(tmp_path / "out" / "inputs", tmp_path / "made")
    one = tmp_path / "made" / "oneip_talk-1_704x1280_100_3.mp4"
    one.rename(one.with_name("oneip_talk-1_704x1280_101_3.mp4"))
    with pytest.raises(InputError, match=r"several runs: 1 files \(seed 100\), 1 files \(seed 101\)"):
        find_outputs(tmp_path / "made", items, "dreamid-omni")


def test_two_turns_of_the_release_are_refused(tmp_path: Path) -> None:
    items = scenes(tmp_path / "data")
    requests = ask("nava-release", items, tmp_path / "out")
    foreign_scripts.nava_release(tmp_path / "out" / "inputs", tmp_path / "made", turns=2)
    with pytest.raises(InputError, match=r"several files for item .*\(turn 0\).*\(turn 1\)"):
        find_outputs(tmp_path / "made", items, "nava-release", requests)


def test_outputs_of_another_request_file_are_refused(tmp_path: Path) -> None:
    items = scenes(tmp_path / "data")
    requests = ask("nava-release", items, tmp_path / "out")
    ask("nava-release", items[1:], tmp_path / "other")
    foreign_scripts.nava_release(tmp_path / "other" / "inputs", tmp_path / "made")
    with pytest.raises(InputError, match="it is of line 0 of another request file, the requests have 'idx0_"):
        find_outputs(tmp_path / "made", items, "nava-release", requests)


def test_a_line_too_many_is_of_another_request_file(tmp_path: Path) -> None:
    items = [item for item in scenes(tmp_path / "data") if item.subset == "impact"]
    requests = ask("nava-release", items[:3], tmp_path / "out")
    ask("nava-release", items, tmp_path / "other")
    foreign_scripts.nava_release(tmp_path / "other" / "inputs", tmp_path / "made")
    with pytest.raises(InputError, match="line 3 of another request file, the requests have 3 lines"):
        find_outputs(tmp_path / "made", items[:3], "nava-release", requests)


def test_run_sh_goes_on_and_tells_failures(tmp_path: Path) -> None:
    items = scenes(tmp_path / "data")
    ask("ltx-2.3", items, tmp_path / "out")
    inputs, made = tmp_path / "out" / "inputs", tmp_path / "a place"
    assert foreign_scripts.item_by_item(inputs, made, needs_picture=True) == 1
    assert sorted(path.stem for path in made.iterdir()) == sorted(
        item.item_id for item in items if item.item_id != "impact-3"
    )
    (made / "talk-0.mp4").write_text("already there")
    assert foreign_scripts.item_by_item(inputs, made) == 0
    assert len(list(made.iterdir())) == 9
    assert (made / "talk-0.mp4").read_text() == "already there"


@pytest.mark.parametrize("model", ["mova", "davinci-magihuman"])
def test_no_name_is_a_command_of_the_shell(model: str, tmp_path: Path) -> None:
    first = scenes(tmp_path / "it's a $(touch place)")[0]
    items = [replace(first, item_id=name) for name in ("a b; $(touch id)", "-n 'x' \"$HOME\"")]
    requests = ask(model, items, tmp_path / "out")
    foreign_scripts.run(model, tmp_path / "out" / "inputs", tmp_path / "made")
    found, spare = find_outputs(tmp_path / "made", items, model, requests)
    assert came_back(found) == got(requests)
    assert len(found) == 2
    assert spare == []
    assert not any(Path(name).exists() for name in ("id", "place"))


def test_spare_files_are_told(tmp_path: Path) -> None:
    items = scenes(tmp_path / "data")
    ask("davinci-magihuman", items, tmp_path / "out")
    foreign_scripts.run("davinci-magihuman", tmp_path / "out" / "inputs", tmp_path / "made")
    # What its script leaves in the current folder before sound and picture are joined.
    for name in ("A_face,_nu123.mp4", "A_face,_nu99.wav", "silent-1_4s.mp4"):
        (tmp_path / "made" / name).write_text("")
    found, spare = find_outputs(tmp_path / "made", items, "davinci-magihuman")
    assert len(found) == 9
    assert spare == ["A_face,_nu123.mp4", "A_face,_nu99.wav", "silent-1_4s.mp4"]


def test_super_resolution_beside_the_base_model_is_no_choice_of_ours(tmp_path: Path) -> None:
    items = scenes(tmp_path / "data")
    for name in ("talk-0_4s_448x256.mp4", "talk-0_4s_448x256_1920x1088.mp4"):
        (tmp_path / "made").mkdir(exist_ok=True)
        (tmp_path / "made" / name).write_text("")
    with pytest.raises(InputError, match="several files for item talk-0"):
        find_outputs(tmp_path / "made", items, "davinci-magihuman")
    (tmp_path / "made" / "talk-0_4s_448x256.mp4").unlink()
    assert set(find_outputs(tmp_path / "made", items, "davinci-magihuman")[0]) == {"talk-0"}
