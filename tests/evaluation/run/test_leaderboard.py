"""Boards: one column for one protocol, backend and edition; what is published is marked as published."""

from pathlib import Path

import pytest

from nava.evaluation.run.leaderboard import leaderboard
from nava.evaluation.run.reproduce import reproduce
from nava.runtime.errors import InputError
from tests.evaluation.run.results import a_figure, a_result

WER = "wer.seed_tts[pocketsphinx]"


def seed_tts(folder: Path, model: str, **changes: object) -> Path:
    figure = a_figure(WER, 0.6, ci_low=0.5, ci_high=0.7, **changes)
    return a_result(folder, {}, model=model, task="seed_tts_en.original.v1", figures=[figure])


def test_measured_and_published_rows_never_share_a_column(tmp_path: Path) -> None:
    board = leaderboard([seed_tts(tmp_path / "a", "mine")])
    assert board.columns == [WER, "wer.seed_tts[published]", "sim.seed_tts[published]"]
    by_model = {row.model: row for row in board.rows}
    assert by_model["mine"].origin == "measured"
    assert set(by_model["mine"].figures) == {WER}
    assert by_model["CosyVoice 2"].origin == "published"
    assert by_model["CosyVoice 2"].figures["wer.seed_tts[published]"]["value"] == 0.0257
    assert "NAVA project page" in board.source


def test_backends_have_columns_of_their_own(tmp_path: Path) -> None:
    first = a_result(tmp_path / "a", {}, model="a", figures=[a_figure("wer.seed_tts[pocketsphinx]")])
    second = a_result(tmp_path / "b", {}, model="b", figures=[a_figure("wer.seed_tts[whisper_large_v3]")])
    board = leaderboard([first, second])
    assert board.columns == ["wer.seed_tts[pocketsphinx]", "wer.seed_tts[whisper_large_v3]"]
    assert [set(row.figures) for row in board.rows] == [{board.columns[0]}, {board.columns[1]}]
    assert board.source == ""


def test_a_figure_of_too_few_items_does_not_stand(tmp_path: Path) -> None:
    board = leaderboard([seed_tts(tmp_path / "a", "mine", covered=False)])
    assert board.rows[0].figures == {}


def test_results_of_other_editions_do_not_stand_beside_each_other(tmp_path: Path) -> None:
    first = a_result(tmp_path / "a", {}, task="verse_bench.original.v1")
    second = a_result(tmp_path / "b", {}, task="verse_bench.mova.v1")
    with pytest.raises(InputError, match="cannot stand beside"):
        leaderboard([first, second])
    other_items = a_result(tmp_path / "c", {}, task="verse_bench.original.v1", manifest="1" * 64)
    with pytest.raises(InputError, match="manifest_sha256"):
        leaderboard([first, other_items])


def test_published_figures_are_held_against_measured_ones(tmp_path: Path) -> None:
    folder = seed_tts(tmp_path / "a", "mine")
    wer, sim = reproduce(folder, "nava")
    assert (wer.published, wer.measured, wer.within) == (0.042, 0.6, False)
    assert wer.relative == pytest.approx(0.6 / 0.042 - 1)
    assert "an embedded backend" in wer.note
    assert (sim.measured, sim.note) == (None, "not measured: the run did not ask for it")
    with pytest.raises(InputError, match="no published row of 'Sora'; there are CosyVoice"):
        reproduce(folder, "Sora")


def test_why_a_metric_is_absent_is_told(tmp_path: Path) -> None:
    absent = [{"metric": "sim.seed_tts", "backend": "wavlm_large_ecapa", "reason": "no weights"}]
    folder = a_result(tmp_path / "a", {}, task="seed_tts_en.original.v1", figures=[], absent=absent)
    assert [row.note for row in reproduce(folder, "NAVA")][1] == "not measured: no weights"


def test_figures_by_other_weights_do_not_share_a_column(tmp_path: Path) -> None:
    column = "flicker[frames]"
    folders = [
        a_result(tmp_path / name, {}, figures=[a_figure(column, 1.0, backend_sha256=sha256)])
        for name, sha256 in (("a", "1" * 64), ("b", "2" * 64), ("old", ""))
    ]
    assert leaderboard(folders).columns[:3] == [f"{column} 11111111", f"{column} 22222222", f"{column} unknown"]
    assert leaderboard([folders[0], folders[2]]).columns[0] == column


def test_figures_of_two_protocols_do_not_share_a_column(tmp_path: Path) -> None:
    folders = [
        a_result(tmp_path / name, {}, figures=[a_figure("flicker[frames]", value, protocol=f"flicker.{name}")])
        for name, value in (("v1", 1.0), ("v2", 2.0))
    ]
    board = leaderboard(folders)
    assert board.columns[:2] == ["flicker[frames] flicker.v1", "flicker[frames] flicker.v2"]
    assert [list(row.figures) for row in board.rows[:2]] == [[board.columns[0]], [board.columns[1]]]
