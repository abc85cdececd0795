"""`nava eval run` from the shell's side: one command from items to a page, its exit codes, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from nava.cli import main
from nava.evaluation.run.requests import noise_seed
from nava.runtime.hashing import sha256_tree
from tests.generation.voice_package import VoicePackage, write_voice_package

TASK = """
schema_version: 1
id: pocket
version: 1
edition: test
title: Pocket
layout: verse_bench
licence: none
citation: none
subsets: {set1: {items: 3, about: "weather"}}
metrics:
  - {metric: flicker}
  - {metric: silence_share}
"""
PROMPTS = ("It rains.", "Wind.", "<S>unfinished")


class Place:
    """A package and a benchmark of three items, the last of which no model can do."""

    def __init__(self, root: Path) -> None:
        self.root, self.package = root, write_voice_package(root)
        (root / "pocket.yaml").write_text(TASK)
        folder = root / "data" / "set1"
        folder.mkdir(parents=True)
        for number, prompt in enumerate(PROMPTS):
            (folder / f"{number}.json").write_text(json.dumps({"video_prompt": prompt}))
            Image.new("RGB", (48, 40), (200, 90 * number, 40)).save(folder / f"{number}.png")

    def run(self, out: Path, *more: Any, code: int = 0, verified: bool = True) -> Result:
        package: VoicePackage = self.package
        how = ("--public-key", package.key.public) if verified else ()
        arguments = ["--task", self.root / "pocket.yaml", "--data", self.root / "data", "--out", out, *more]
        given = ["eval", "run", *arguments, "--package", package.folder, *how, "--workers", 1]
        result = CliRunner().invoke(main, list(map(str, given)), catch_exceptions=False)
        assert result.exit_code == code, result.output
        return result


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("pocket"))


def test_from_items_to_a_page_in_one_command_and_again_at_no_cost(place: Place, tmp_path: Path) -> None:
    said = place.run(tmp_path, "--items", 2, "--baseline", "shuffled", "--model", "mine", "--seed", 3).output
    assert "model: 0 of 2 outputs are there" in said
    assert "mine: set1-0: written: " in said
    assert "flicker[frames]" in said
    assert "2 of 2 items" in said
    page = (tmp_path / "report" / "index.html").read_text()
    assert "mine, shuffled" in page
    assert page.count("data:video/mp4;base64,") == 4
    assert "| mine, shuffled |" in (tmp_path / "report" / "table.md").read_text()
    made_by = [
        json.loads((folder / "result" / "summary.json").read_text())["package_sha256"]
        for folder in (tmp_path, tmp_path / "shuffled")
    ]
    assert made_by == [place.package.sha256, None]
    first = json.loads((tmp_path / "requests.jsonl").read_text().splitlines()[0])
    assert (first["id"], first["seed"]) == ("set1-0", noise_seed(3, "set1-0"))
    assert first["image_path"].endswith("set1/0.png")
    before = sha256_tree(tmp_path)
    again = place.run(tmp_path, "--items", 2, "--baseline", "shuffled", "--model", "mine", "--seed", 3).output
    assert "mine: all 2 outputs are there" in again
    assert "written" not in again
    assert sha256_tree(tmp_path) == before


def test_a_refused_request_is_told_and_counts_against_coverage(place: Place, tmp_path: Path) -> None:
    failed = place.run(tmp_path, code=1)
    assert "nava-tiny: set1-2: refused: prompt: " in failed.stderr
    assert "only 2 of 3 items have a value, 90% must; mostly: the model refused the request: prompt:" in failed.stderr
    place.run(tmp_path, "--allow-missing")
    place.run(tmp_path, "--min-coverage", "0.6")
    rows = [json.loads(line) for line in (tmp_path / "result" / "rows.jsonl").read_text().splitlines()]
    assert [row["value"] for row in rows if row["item_id"] == "set1-2"] == [None, None]


def test_what_a_model_is_given_can_be_left_out(place: Place, tmp_path: Path) -> None:
    place.run(tmp_path, "--items", 1, "--no-images", "--generate-as", "T2V", "--steps", 1, code=1)
    assert "image_path" not in (tmp_path / "requests.jsonl").read_text()
    made = json.loads((tmp_path / "outputs" / "set1-0.mp4.json").read_text())
    assert (made["task"], made["sampler"]["steps"]) == ("T2V", 1)
    rows = [json.loads(line) for line in (tmp_path / "result" / "rows.jsonl").read_text().splitlines()]
    assert {row["metric"]: row["reason"] for row in rows} == {"flicker": "", "silence_share": "the clip has no sound"}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--baseline", "random"], "there is no baseline random; there are untrained, shuffled, truth"),
        (["--baseline", "truth"], "baseline truth: pocket does not come with the true clips"),
        (["--baseline", "untrained", "--fp8"], "baseline untrained is drawn as the model is written; leave --fp8 out"),
        (["--generate-as", "T2X"], "task: 'T2X' is unknown"),
        (["--device", "meta"], "device: 'meta' is not one of"),
        (["--backends", "nowhere.yaml"], "there is no file of backends at nowhere.yaml"),
    ],
)
def test_wrong_input_is_a_line_and_exit_code_2(place: Place, tmp_path: Path, more: list[str], message: str) -> None:
    said = place.run(tmp_path / "out", *more, code=2).stderr
    assert message in said
    assert not (tmp_path / "out" / "outputs").exists()


def test_a_package_is_verified_unless_it_is_said_that_it_is_not(place: Place, tmp_path: Path) -> None:
    refused = place.run(tmp_path, code=2, verified=False)
    assert "give --public-key FILE to verify its signature, or --unsigned" in refused.stderr
