"""`nava eval` from the shell's side: score outputs, compare, show; wrong input in one line."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from nava.cli import main
from nava.evaluation.run.requests import noise_seed
from nava.generation.media import read_mp4
from nava.runtime.hashing import sha256_tree
from tests.evaluation.benchmark_items import clip

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
  - {metric: silence_share}
  - {metric: identity.lite}
  - {metric: sync_c.mova, only: [speech_text]}
"""


def nava(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, ["eval", *map(str, arguments)], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A task file, a benchmark in Verse-Bench's layout, and the outputs of two models."""
    folder = tmp_path_factory.mktemp("pocket")
    (folder / "pocket.yaml").write_text(TASK)
    for number in range(3):
        true = clip(folder / "mine" / "set1" / f"{number}.mp4", number)
        clip(folder / "theirs" / f"set1-{number}.mp4", number + 5, events_s=(0.1, 0.3, 0.5, 0.7, 0.9))
        (folder / "data" / "set1").mkdir(parents=True, exist_ok=True)
        described = {"video_prompt": f"a light, number {number}", "audio_prompt": ["a tone"]}
        (folder / "data" / "set1" / f"{number}.json").write_text(json.dumps(described))
        Image.fromarray(read_mp4(true).frames[0]).save(folder / "data" / "set1" / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def results(place: Path) -> Path:
    for name in ("mine", "theirs"):
        said = score(place, name).output
        assert "flicker[frames]" in said
        assert "3 of 3 items" in said
    return place / "results"


def score(place: Path, name: str, *more: object, code: int = 0) -> Result:
    where = ("--data", place / "data", "--outputs", place / name, "--out", place / "results" / name, "--workers", 1)
    return nava("score", "--task", place / "pocket.yaml", *where, *more, code=code)


def test_scoring_again_extracts_nothing_and_writes_the_same(place: Path, results: Path) -> None:
    before = sha256_tree(results / "mine" / "result")
    features = {path: path.stat().st_mtime_ns for path in (results / "mine" / "features").rglob("*.safetensors")}
    assert len(features) == 3 * 3 + 3, "three backends on three clips, and one on their first frames"
    score(place, "mine")
    assert sha256_tree(results / "mine" / "result") == before
    assert {path: path.stat().st_mtime_ns for path in features} == features


def test_metrics_without_weights_are_named_with_the_reason(place: Path, results: Path) -> None:
    summary = json.loads((results / "mine" / "result" / "summary.json").read_text())
    assert [entry["metric"] for entry in summary["absent"]] == ["sync_c.mova"]
    assert summary["model"] == "mine"


def test_missing_outputs_fail_the_run_unless_they_may_be_missing(place: Path, tmp_path: Path) -> None:
    (tmp_path / "few" / "set1").mkdir(parents=True)
    (tmp_path / "few" / "set1" / "0.mp4").write_bytes((place / "mine" / "set1" / "0.mp4").read_bytes())
    (tmp_path / "few" / "spare.mp4").write_bytes(b"x")
    where = ("--task", place / "pocket.yaml", "--data", place / "data", "--outputs", tmp_path / "few", "--workers", 1)
    failed = nava("score", *where, "--out", tmp_path / "out", code=1)
    assert "only 1 of 3 items have a value, 90% must; mostly: nothing was generated for this item" in failed.output
    assert "1 files belong to no item: spare.mp4" in failed.output
    nava("score", *where, "--out", tmp_path / "out", "--allow-missing", "--metric", "flicker")


def test_results_are_compared_shown_and_put_into_tables(place: Path, results: Path, tmp_path: Path) -> None:
    folders = [results / name / "result" for name in ("mine", "theirs")]
    compared = nava("compare", *folders).output
    assert "flicker[frames]" in compared
    assert "3 items" in compared
    board = nava("leaderboard", *folders).output
    assert "| mine (measured) |" in board
    assert "| theirs (measured) |" in board
    shown = ("--outputs", place / "mine" / "set1", "--outputs", place / "theirs")
    nava("report", *folders, "-o", tmp_path / "report", *shown)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "data:video/mp4;base64," in page
    assert "| mine |" in (tmp_path / "report" / "table.md").read_text()
    assert r"\toprule" in (tmp_path / "report" / "table.tex").read_text()


def test_tasks_metrics_and_requests_are_listed(place: Path, tmp_path: Path) -> None:
    assert "seed_tts_en" in nava("tasks").output
    said = nava("metrics", "wer.seed_tts").output
    assert "whisper_large_v3 (paper, unproven)" in said
    assert "notices noise, text_swapped, silence" in said
    assert nava("metrics", "--task", place / "pocket.yaml").output.count("\n") == 4
    file = tmp_path / "requests.jsonl"
    nava("requests", "--task", place / "pocket.yaml", "--data", place / "data", "-o", file, "--seed", 5)
    first = json.loads(file.read_text().splitlines()[0])
    assert (first["id"], first["prompt"]) == ("set1-0", "a light, number 0 a tone")
    assert first["seed"] == noise_seed(5, "set1-0") != noise_seed(5, "set1-1")
    assert first["seed"] != noise_seed(6, "set1-0")
    assert first["image_path"].endswith("set1/0.png")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "--task", "nothing", "--outputs", "x", "--out", "y"], "there is no benchmark task 'nothing'"),
        (["metrics", "beauty"], "there is no metric beauty"),
        (["compare", "here", "there"], "here holds no result of `nava eval`"),
        (["reproduce", "here", "--model", "NAVA"], "here holds no result"),
        (["report", "here", "-o", "x", "--outputs", "a", "--outputs", "b"], "2 --outputs for 1 results"),
    ],
)
def test_wrong_input_is_a_line_and_exit_code_2(arguments: list[str], message: str) -> None:
    assert message in nava(*arguments, code=2).output


def test_a_metric_that_the_task_has_not_is_refused(place: Path) -> None:
    assert "task pocket has no metric wer.seed_tts" in score(place, "mine", "--metric", "wer.seed_tts", code=2).output
