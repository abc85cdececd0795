"""A study is read back as it was written, and refused when a part of it is not what it should be."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nava.evaluation.study.study_file import read_study, write_study
from nava.runtime.errors import InputError
from tests.evaluation.study.small_study import MODELS, small_study


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_study(tmp_path_factory.mktemp("study"), models=MODELS[:2], t2av=1, ti2av=1)[0]


def test_what_is_written_is_read(folder: Path, tmp_path: Path) -> None:
    study = read_study(folder)
    write_study(tmp_path, study)
    assert (tmp_path / "study.json").read_bytes() == (folder / "study.json").read_bytes()
    assert study.tasks == ("T2AV", "TI2AV")
    assert study.criteria == ("overall quality", "audio-visual alignment")
    # Two models on two cases, the broken copy, and the first frame.
    assert len(study.media_paths()) == 6
    assert all((folder / path).is_file() for path in study.media_paths())


def changed(folder: Path, target: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of the study with something changed in `study.json`."""
    value = copy.deepcopy(json.loads((folder / "study.json").read_text()))
    change(value)
    (target / "study.json").write_text(json.dumps(value))
    (target / "media").symlink_to(folder / "media")
    return target


@pytest.mark.parametrize(
    "path",
    [
        "../secret.mp4",
        "media/../../secret.mp4",
        "/etc/passwd",
        "media/secret.mp4",
        "media/0123456789abcdef.mp4/../x.mp4",
        "media/0123456789ABCDEF.mp4",
        "media/0123456789abcdef.png",
        "media/0123456789abcdef.sh",
        "media/0123456789abcdef.mp4\n",
        "C:media/0123456789abcdef.mp4",
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(folder: Path, tmp_path: Path, path: str) -> None:
    wrong = changed(folder, tmp_path, lambda value: value["items"][0].update(left_media=path))
    with pytest.raises(InputError, match=r"item 1: field 'left_media' is .* 16 hexadecimal digits"):
        read_study(wrong)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda v: v.update(schema_version=2), "schema version 2; this program reads 1"),
        (lambda v: v.update(models=["a", "a"]), "'models' .* twice"),
        (lambda v: v.update(seed=-1), "'seed' is -1"),
        (lambda v: v.pop("criteria"), "'criteria' is missing"),
        (lambda v: v["cases"][0].update(task="V2A"), "case 1: field 'task' is \"V2A\""),
        (lambda v: v["cases"][0].update(prompt=""), "case 1: field 'prompt'"),
        (lambda v: v["cases"].append(v["cases"][0]), "two cases have the same id"),
        (lambda v: v["items"].append(v["items"][0]), "two items have the same id"),
        (lambda v: v["items"][0].update(case_id="gone"), "of case 'gone', which does not exist"),
        (lambda v: v["items"][0].update(kind="game"), "item 1: field 'kind'"),
        (lambda v: v["items"][0].update(kind="repeat"), "'repeat_of' is null; it must name an item"),
        (lambda v: v["items"][0].update(intact="left"), "'intact' is \"left\"; it must name a side for kind attention"),
        (lambda v: v["items"][-2].update(repeat_of="gone"), "repeats gone, which does not exist"),
        (lambda v: v["items"].append(3), "int where a JSON object is wanted"),
    ],
)
def test_parts_that_do_not_fit_are_refused(
    folder: Path, tmp_path: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    with pytest.raises(InputError, match=said):
        read_study(changed(folder, tmp_path, change))


def test_missing_and_linked_media_are_refused(tmp_path: Path) -> None:
    folder, study = small_study(tmp_path, models=MODELS[:2], t2av=1, ti2av=0)
    file = folder / study.media_paths()[0]
    (tmp_path / "secret.mp4").write_bytes(file.read_bytes())
    file.unlink()
    with pytest.raises(InputError, match="is missing or no plain file"):
        read_study(folder)
    file.symlink_to(tmp_path / "secret.mp4")
    with pytest.raises(InputError, match="is missing or no plain file"):
        read_study(folder)


def test_no_study_is_said_with_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no study.*`study make` makes one"):
        read_study(tmp_path)
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(InputError, match=r"study\.json: not JSON"):
        read_study(tmp_path)
