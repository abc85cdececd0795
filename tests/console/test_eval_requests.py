"""`nava eval requests --for` and `score --layout` from the shell's side: out to a model, and back to figures."""

import csv
import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from nava.cli import main
from nava.generation.media import read_mp4
from tests.data.annotation.contract_stub import KEY
from tests.evaluation.benchmark_items import clip
from tests.rewriting.scripted_model import KEY_VARIABLE, answering, good

TASK = """
schema_version: 1
id: pocket
version: 1
edition: test
title: Pocket
layout: verse_bench
licence: none
citation: none
subsets: {set1: {items: 3, about: "three lights"}}
metrics:
  - {metric: flicker}
"""


def nava(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["eval", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task file and a benchmark of three items in Verse-Bench's layout; the last has no picture."""
    folder = tmp_path_factory.mktemp("pocket")
    (folder / "pocket.yaml").write_text(TASK)
    (folder / "data" / "set1").mkdir(parents=True)
    for number in range(3):
        true = clip(folder / "clips" / f"{number}.mp4", number)
        described = {"video_prompt": f"Light number {number} goes on.", "audio_prompt": ["a tone"]}
        (folder / "data" / "set1" / f"{number}.json").write_text(json.dumps(described))
        if number < 2:
            Image.fromarray(read_mp4(true).frames[0]).save(folder / "data" / "set1" / f"{number}.png")
    return folder


def of(place: Path, *more: object) -> tuple[object, ...]:
    return ("--task", place / "pocket.yaml", "--data", place / "data", *more)


def ovi_writes(place: Path, inputs: Path, outputs: Path) -> None:
    """Each clip under the name that Ovi gives it; which clip it is follows from the prompt."""
    for file in inputs.glob("*.csv"):
        with file.open(newline="") as opened:
            for number, line in enumerate(csv.DictReader(opened)):
                (outputs / file.stem).mkdir(parents=True, exist_ok=True)
                which = re.search(r"number (\d)", line["text_prompt"])
                assert which
                name = line["text_prompt"].replace(" ", "_")[:50] + f"_64x64_100_0_{number}.mp4"
                shutil.copyfile(place / "clips" / f"{which[1]}.mp4", outputs / file.stem / name)


def test_out_to_a_model_and_back_to_figures(place: Path, tmp_path: Path) -> None:
    said = nava("requests", *of(place, "--for", "ovi-1.1", "-o", tmp_path / "ovi")).output
    assert "ovi-1.1: 3 items asked, format ovi-1.1, by rules 1" in said
    inputs = tmp_path / "ovi" / "inputs"
    assert f"then: nava eval score --layout ovi-1.1 --requests {inputs} --outputs OUTPUTS" in said
    ovi_writes(place, inputs, tmp_path / "made")
    where = of(place, "--outputs", tmp_path / "made", "--layout", "ovi-1.1", "--workers", 1)
    assert "give the requests.json" in nava("score", *where, "--out", tmp_path / "out", code=2).output
    scored = nava("score", *where, "--requests", inputs, "--out", tmp_path / "out", "--model", "Ovi 1.1")
    assert "3 of 3 items" in scored.output
    assert "belong to no item" not in scored.output
    # Each row is of the clip of its own item, and the report finds it under its name.
    names = [json.loads(line) for line in (tmp_path / "out" / "result" / "outputs.jsonl").read_text().splitlines()]
    assert [name["item_id"] for name in names] == ["set1-0", "set1-1", "set1-2"]
    for number, name in enumerate(names):
        assert (tmp_path / "made" / name["path"]).read_bytes() == (place / "clips" / f"{number}.mp4").read_bytes()
    nava("report", tmp_path / "out" / "result", "-o", tmp_path / "report", "--outputs", tmp_path / "made")
    assert (tmp_path / "report" / "index.html").read_text().count("data:video/mp4;base64,") == 3


def test_items_that_were_not_asked_are_told_again_when_scoring(place: Path, tmp_path: Path) -> None:
    said = nava("requests", *of(place, "--for", "mova", "-o", tmp_path / "mova")).output
    assert "not asked: 1 items: MOVA always begins with a picture" in said
    (tmp_path / "made").mkdir()
    for number in range(2):
        shutil.copyfile(place / "clips" / f"{number}.mp4", tmp_path / "made" / f"set1-{number}.mp4")
    where = of(place, "--outputs", tmp_path / "made", "--layout", "mova", "--requests", tmp_path / "mova")
    scored = nava("score", *where, "--out", tmp_path / "out", "--workers", 1, code=1)
    assert "note: 1 items were not asked of mova: MOVA always begins with a picture" in scored.output
    assert "2 of 3 items" in scored.output
    rows = [json.loads(line) for line in (tmp_path / "out" / "result" / "rows.jsonl").read_text().splitlines()]
    assert rows[2]["reason"] == "not asked of mova: MOVA always begins with a picture, and the item has none"


def test_an_endpoint_is_asked_once_for_all_models(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    with answering(good) as stub:
        settings = tmp_path / "rewriting.yaml"
        settings.write_text(
            f"cache_dir: {tmp_path / 'cache'}\nendpoint: {{provider: openai, model: stub-rewriter, "
            f"base_url: {stub.url}/v1, api_key_variable: {KEY_VARIABLE}}}\n"
        )
        for model in ("ltx-2.3", "ovi-1.1"):
            more = ("--for", model, "--rewriter", "endpoint", "--settings", settings, "-o", tmp_path / model)
            nava("requests", *of(place, *more))
        asked = len(stub.seen)
    assert asked == 3
    written = json.loads((tmp_path / "ovi-1.1" / "inputs" / "requests.json").read_text())
    assert written["rewriter"].startswith("openai:stub-rewriter")
    assert {entry["made_by"] for entry in written["asked"]} == {"openai:stub-rewriter 1"}
    assert "A quiet room." in written["asked"][0]["inputs"]["text_prompt"]
    assert KEY not in json.dumps(written)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["requests", "--for", "sora"], "no requests can be written for 'sora'; there are ovi-1.0"),
        (["requests", "--rewriter", "endpoint"], "belong to --for MODEL"),
        (["requests", "--for", "mova", "--set", "rewriter"], "--set: 'rewriter' is not NAME=VALUE"),
        (["requests", "--for", "mova", "--rewriter", "endpoint"], "rewriting.cache_dir is ''"),
        (["score", "--outputs", ".", "--layout", "sora"], "there is no layout 'sora' of outputs; there are default"),
        (["score", "--outputs", ".", "--requests", "x"], "--requests belong to the --layout of a model"),
        (["score", "--outputs", ".", "--layout", "mova", "--requests", "x"], "x holds no requests.json"),
    ],
)
def test_wrong_input_is_a_line_and_exit_code_2(place: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    said = nava(arguments[0], *of(place, *arguments[1:], "--out", tmp_path / "out"), code=2).output
    assert message in said


def test_a_folder_is_wanted_where_a_file_is(place: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = nava("requests", *of(place, "--for", "mova", "-o", tmp_path / "file"), code=2).output
    assert "is a file; with --for give a folder" in said
