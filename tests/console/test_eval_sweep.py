"""`nava eval sweep` and `table` with a real, tiny model: clips made, scored, kept; settings reach the sampler."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from nava.artifacts.model_package import load_package
from nava.cli import main
from nava.evaluation.benchmark.item import Item
from nava.evaluation.run.requests import noise_seed
from nava.evaluation.sweep.generated import GeneratedClips
from nava.evaluation.sweep.sweep import Asked, Variant
from nava.generation.loading import load_generator
from nava.runtime.hashing import sha256_tree
from tests.console.test_eval_command import TASK
from tests.evaluation.sweep.sweeps import extracting_here
from tests.generation.voice_package import VoicePackage, write_voice_package

SWEEP = """
schema_version: 1
id: tiny
title: Tiny
task: pocket.yaml
seeds: [3]
baseline: off
metrics: [flicker, silence_share]
generate: {image: false, voice: false}
variants:
  "off": {guidance.video_align: 0, guidance.audio_align: 0}
  "on": {guidance.video_align: 4, guidance.audio_align: 4}
layout: [{block: align, without: "off", with: "on"}]
"""
ABLATION = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "ablation.json"


def nava(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["eval", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module", autouse=True)
def in_this_process() -> Iterator[None]:
    with extracting_here():
        yield


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> VoicePackage:
    return write_voice_package(tmp_path_factory.mktemp("swept"))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "pocket.yaml").write_text(TASK)
    (folder / "sweep.yaml").write_text(SWEEP.replace("baseline: off", 'baseline: "off"'))
    (folder / "data" / "set1").mkdir(parents=True)
    for number in range(3):
        described = {"video_prompt": f"a light, number {number}", "audio_prompt": ["a tone"]}
        (folder / "data" / "set1" / f"{number}.json").write_text(json.dumps(described))
    return folder


def sweep(place: Path, package: VoicePackage, *more: object, code: int = 0) -> Result:
    where = ("--data", place / "data", "--out", place / "out", "--workers", 1, "--device", "cpu")
    key = ("--package", package.folder, "--public-key", package.key.public)
    return nava("sweep", place / "sweep.yaml", *where, *key, *more, code=code)


def test_a_sweep_is_made_scored_tabulated_and_kept(place: Path, package: VoicePackage) -> None:
    said = sweep(place, package).output
    assert "2 variants x 3 items x 1 seeds = 6 clips" in said
    assert "| flicker[frames] ↓ |" in said
    sidecars = {
        name: json.loads((place / f"out/variants/{name}/seed-3/clips/set1-0.mp4.json").read_text())
        for name in ("off", "on")
    }
    assert {name: entry["sampler"]["video"]["align"] for name, entry in sidecars.items()} == {"off": 0, "on": 4}
    assert {entry["seed"] for entry in sidecars.values()} == {noise_seed(3, "set1-0")}
    assert sidecars["on"]["model"]["package_sha256"] == package.sha256
    table = json.loads((place / "out/result/sweep.json").read_text())
    assert table["variants"]["on"]["differences"]["flicker[frames]"]["n"] == 3
    assert table["model"] == "nava-tiny"

    before = sha256_tree(place / "out")
    again = sweep(place, package).output
    assert again.count("finished already") == 2
    assert sha256_tree(place / "out") == before

    # Two results of the sweep are results like any others.
    results = [place / f"out/variants/{name}/seed-3/result" for name in ("off", "on")]
    assert "flicker[frames]" in nava("compare", *results).output

    paper = nava("table", "guidance", place / "out").output
    assert "| w/ align CFG (published) | 7.791 |" in paper
    assert "| w/ align CFG: on (measured) | – (a) |" in paper
    nava("table", "guidance", place / "out", "--out", place / "tables")
    assert r"\begin{tabular}" in (place / "tables" / "guidance.tex").read_text()


def test_what_the_model_cannot_make_is_a_failure_of_its_item(package: VoicePackage, tmp_path: Path) -> None:
    generator = load_generator(load_package(package.folder, package.key.public))
    said: list[str] = []
    maker = GeneratedClips(generator, Asked(image=False, voice=False, seconds=60), said.append)
    failures = maker(Variant("off"), 0, [Item("a", "one", "a light")], tmp_path / "clips")
    assert set(failures) == {"a"}
    assert "second" in failures["a"]
    assert said[0].startswith("off, seed 0, a: refused")
    other = GeneratedClips(generator, Asked(image=False, voice=False), said.append)
    assert maker.identity != other.identity


def test_wrong_input_is_told_in_one_line(place: Path, package: VoicePackage, tmp_path: Path) -> None:
    said = nava("sweep", "guidance", "--out", tmp_path, "--package", package.folder, "--unsigned", code=2).output
    assert "there is no sweep 'guidance'; there are guidance_demo" in said
    assert "holds no sweep.json" in nava("table", "guidance", tmp_path, code=2).output
    assert "holds no ablation.json" in nava("table", "architecture", tmp_path, code=2).output
    assert "is of one ablation, 2 were given" in nava("table", "architecture", ABLATION, ABLATION, code=2).output
    assert "write VARIANT=FOLDER" in nava("table", "architecture", ABLATION, "--scored", "x", code=2).output
    (tmp_path / "ablation.json").write_text("[]")
    assert "is no table of an ablation" in nava("table", "architecture", tmp_path, code=2).output


def test_sweeps_are_listed_and_the_architecture_table_is_printed() -> None:
    assert "guidance_paper_timbre" in nava("sweeps").output
    said = nava("table", "architecture", ABLATION).output
    assert "| HAL + UFL (published) | yes | yes | 6.3B | 7.684 |" in said
    assert r"\toprule" in nava("table", "architecture", ABLATION, "--latex").output
