"""A run: rows with values or reasons, figures with intervals and coverage, the same however it was interrupted."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nava.evaluation.benchmark.item import Item
from nava.evaluation.extraction import feature_cache
from nava.evaluation.extraction.feature_cache import FeatureCache, Wish
from nava.evaluation.extraction.features import UnmeasurableError
from nava.evaluation.run.records import read_summary
from nava.evaluation.run.score import Scored, ScoringSettings, score_outputs, write_result
from nava.generation.media import write_mp4, write_wav
from nava.runtime.hashing import sha256_tree
from tests.evaluation.benchmark_items import FPS, RATE_HZ, a_task, clip, items_in, outputs_in

METRICS = ("flicker", "silence_share", "known_onset_f1", "fd.frechet_lite")
ONE = ScoringSettings(workers=1, attempts=1)


def quietly(things: Iterable[Any], _total: int, _label: str) -> Iterable[Any]:
    return things


def score(items: list[Item], outputs: dict[str, Path], cache: Path, **settings: Any) -> Scored:
    return score_outputs(a_task(*METRICS), items, outputs, FeatureCache(cache), replace(ONE, **settings), quietly)


def values(scored: Scored, metric: str) -> dict[str, float | None]:
    return {row.item_id: row.value for row in scored.rows if row.metric == metric}


def reasons(scored: Scored, metric: str) -> dict[str, str]:
    return {row.item_id: row.reason for row in scored.rows if row.metric == metric and row.reason}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    items_in(folder)
    return folder


def test_true_clips_are_scored_as_what_they_are(media: Path, tmp_path: Path) -> None:
    scored = score(items_in(media), outputs_in(media), tmp_path)
    assert list(values(scored, "known_onset_f1").values()) == [1.0, 1.0, 1.0]
    figures = {figure.metric: figure for figure in scored.figures}
    assert figures["fd.frechet_lite"].value == pytest.approx(0.0, abs=1e-6)
    assert figures["flicker"].column == "flicker[frames]"
    assert (figures["flicker"].n, figures["flicker"].eligible, figures["flicker"].covered) == (3, 3, True)
    assert figures["flicker"].ci_low <= figures["flicker"].value <= figures["flicker"].ci_high
    assert scored.uncovered == []


def test_bad_files_are_rows_with_reasons_and_the_run_goes_on(media: Path, tmp_path: Path) -> None:
    items = items_in(media)
    more = [
        replace(items[0], item_id=name) for name in ("mute", "empty", "torn", "absent", "forgotten", "short", "quiet")
    ]
    outputs = outputs_in(media)
    frames = np.zeros((25, 64, 64, 3), np.uint8)
    bad = tmp_path / "bad"
    bad.mkdir()
    write_mp4(bad / "mute.mp4", frames, FPS, None, RATE_HZ)
    (bad / "empty.mp4").write_bytes(b"")
    (bad / "torn.mp4").write_bytes(outputs["item0"].read_bytes()[:300])
    write_wav(bad / "short.wav", np.zeros(100, np.float32), RATE_HZ)
    write_mp4(bad / "quiet.mp4", frames, FPS, np.zeros(RATE_HZ * 10, np.float32), RATE_HZ)
    outputs |= {name: bad / f"{name}.mp4" for name in ("mute", "empty", "torn", "absent", "quiet")}
    outputs["short"] = bad / "short.wav"
    scored = score([*items, *more], outputs, tmp_path / "cache")
    told = reasons(scored, "silence_share")
    assert told.keys() == {"mute", "empty", "torn", "absent", "forgotten", "short"}
    assert told["mute"] == "the clip has no sound"
    assert "is empty" in told["empty"]
    assert "cannot be decoded" in told["torn"]
    assert "absent.mp4 is missing" in told["absent"]
    assert told["forgotten"] == "nothing was generated for this item"
    assert "lasts 0.01 s" in told["short"]
    assert values(scored, "silence_share")["quiet"] == 1.0, "silence is a finding, not a failure"
    assert reasons(scored, "flicker")["short"] == "the clip has no picture"
    assert values(scored, "flicker")["mute"] == 0.0, "a mute clip still has a picture"
    silence = next(figure for figure in scored.figures if figure.metric == "silence_share")
    assert (silence.n, silence.eligible, silence.covered) == (4, 10, False)
    assert "only 4 of 10 items have a value, 90% must" in silence.reason
    assert {figure.metric for figure in scored.uncovered} >= {"silence_share"}
    # No reason is a number in disguise.
    assert all(row.value is None for row in scored.rows if row.reason)


def test_what_is_known_is_not_looked_for_again_not_even_failures(media: Path, tmp_path: Path) -> None:
    items, outputs = items_in(media), outputs_in(media)
    frames = np.zeros((25, 64, 64, 3), np.uint8)
    write_mp4(tmp_path / "mute.mp4", frames, FPS, None, RATE_HZ)
    outputs["item2"] = tmp_path / "mute.mp4"
    first = score(items, outputs, tmp_path / "cache")
    assert {wish.media.name for wish in first.failures} == {"mute.mp4"}
    cache = FeatureCache(tmp_path / "cache")
    wishes = [Wish(path, backend) for path in outputs.values() for backend in ("waveform", "frames", "tracks")]
    assert cache.units(wishes) == []
    with pytest.raises(UnmeasurableError, match="the clip has no sound"):
        cache.find(Wish(outputs["item2"], "waveform"))
    again = score(items, outputs, tmp_path / "cache")
    assert (again.rows, again.figures) == (first.rows, first.figures)
    assert again.failures == {}, "nothing was extracted, so nothing failed"


def test_features_go_by_content(media: Path, tmp_path: Path) -> None:
    outputs = outputs_in(media)
    cache = FeatureCache(tmp_path)
    copy = tmp_path / "other-name.mp4"
    copy.write_bytes(outputs["item0"].read_bytes())
    assert cache.path(Wish(copy, "frames")) == cache.path(Wish(outputs["item0"], "frames"))
    assert cache.path(Wish(copy, "frames")) != cache.path(Wish(outputs["item1"], "frames"))
    assert cache.path(Wish(copy, "frames")) != cache.path(Wish(copy, "tracks"))


def test_a_damaged_entry_is_made_again(media: Path, tmp_path: Path) -> None:
    items, outputs = items_in(media), outputs_in(media)
    first = score(items, outputs, tmp_path)
    path = FeatureCache(tmp_path).path(Wish(outputs["item0"], "frames"))
    path.write_bytes(path.read_bytes()[:20])
    assert score(items, outputs, tmp_path) == first


def test_one_worker_and_two_write_the_same_bytes(media: Path, tmp_path: Path) -> None:
    for workers in (1, 2):
        items, outputs = items_in(media), outputs_in(media)
        scored = score(items, outputs, tmp_path / f"cache{workers}", workers=workers)
        write_result(tmp_path / f"result{workers}", a_task(*METRICS), items, scored, ONE, "true")
    assert sha256_tree(tmp_path / "result1") == sha256_tree(tmp_path / "result2")
    summary = read_summary(tmp_path / "result1")
    assert summary["task"] == "tiny.test.v1"
    measured_by = {figure["column"]: figure["backend_sha256"] for figure in summary["figures"]}
    assert measured_by["flicker[frames]"] == FeatureCache(tmp_path).identity("frames")


def test_a_file_that_kills_its_worker_costs_its_own_features(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_cache, "extract", killed_by_item1)
    scored = score(items_in(media), outputs_in(media), tmp_path, workers=2, attempts=2)
    assert reasons(scored, "flicker").keys() == {"item1"}
    assert "extraction killed: ended its worker process each of 2 times" in reasons(scored, "flicker")["item1"]
    monkeypatch.undo()
    again = score(items_in(media), outputs_in(media), tmp_path)
    assert reasons(again, "flicker") == {}, "an accident is tried again in the next run"


def killed_by_item1(unit: Any) -> Any:
    from nava.evaluation.extraction.unit import extract

    if unit.media.stem == "item1":
        os.kill(os.getpid(), signal.SIGKILL)
    return extract(unit)


def test_killed_at_any_moment_it_ends_as_if_undisturbed(media: Path, tmp_path: Path) -> None:
    for number in range(5):
        clip(tmp_path / "media" / "true" / f"item{number}.mp4", number)
    undisturbed = run_in_process(tmp_path / "media", tmp_path / "straight")
    assert undisturbed.wait(120) == 0
    for kill in range(3):
        process = run_in_process(tmp_path / "media", tmp_path / "killed")
        entries = kill * 4
        while process.poll() is None and len(list((tmp_path / "killed").rglob("*.safetensors"))) <= entries:
            time.sleep(0.01)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert run_in_process(tmp_path / "media", tmp_path / "killed").wait(120) == 0
    assert sha256_tree(tmp_path / "killed" / "result") == sha256_tree(tmp_path / "straight" / "result")


def run_in_process(media: Path, out: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.evaluation.run.test_scoring_run", str(media), str(out)]
    return subprocess.Popen(command, start_new_session=True)


def main(media: Path, out: Path) -> None:
    outputs = outputs_in(media)
    items = [
        Item(name, "one", "a light", reference_audio=path, truth={"events_s": [0.2, 0.6, 1.0]})
        for name, path in outputs.items()
    ]
    scored = score(items, outputs, out / "cache", workers=2)
    write_result(out / "result", a_task(*METRICS), items, scored, ONE, "true")


def test_the_mean_of_subsets_weighs_subsets_and_not_items(media: Path, tmp_path: Path) -> None:
    items, outputs = items_in(media), outputs_in(media)
    plain, weighted = (
        score_outputs(a_task("flicker", aggregation=how), items, outputs, FeatureCache(tmp_path), ONE, quietly)
        for how in ("items", "mean_of_subsets")
    )
    found = values(plain, "flicker")
    assert plain.figures[0].value == pytest.approx(np.mean(list(found.values())))
    expected = ((found["item0"] + found["item1"]) / 2 + found["item2"]) / 2
    assert weighted.figures[0].value == pytest.approx(expected)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
