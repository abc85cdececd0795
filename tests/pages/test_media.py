"""Media inside a page: what fits is embedded, what does not decode is described."""

import base64
from pathlib import Path

import pytest

from nava.pages.media import EmbedBudget, data_uri, embed, read_clip, stretch
from tests.pages.sample_run_page import encode_clip


def test_budget_counts_base64_text_and_refuses_what_does_not_fit() -> None:
    budget = EmbedBudget(100)
    assert budget.take(30)
    assert not budget.take(60)
    assert budget.take(30)
    assert not budget.take(30)


def test_embed_returns_the_file_once_it_fits(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"\xff\xd8picture")
    budget = EmbedBudget(1000)
    uri = embed(path, "image/jpeg", budget)
    assert uri == data_uri(b"\xff\xd8picture", "image/jpeg")
    assert base64.b64decode(uri.partition(",")[2]) == path.read_bytes()
    assert embed(path, "image/jpeg", EmbedBudget(3)) == ""


def test_embed_of_a_missing_or_empty_file_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    for name in ("missing.jpg", "empty.jpg", "."):
        assert embed(tmp_path / name, "image/jpeg", EmbedBudget(1000)) == ""


@pytest.mark.parametrize(
    ("values", "result"), [([], []), ([3, 3, 3], [0, 0, 0]), ([1, 2, 3], [0, 0.5, 1]), ([-1, 1], [0, 1])]
)
def test_stretch(values: list[float], result: list[float]) -> None:
    assert stretch(values) == result


def test_brightness_and_loudness_rise_at_the_flashes(tmp_path: Path) -> None:
    media = read_clip(encode_clip(tmp_path / "flash.mp4"))
    assert media.problem == ""
    assert media.poster.startswith("data:image/jpeg;base64,")
    assert len(media.picture) == len(media.sound) == 24
    for trace in (media.picture, media.sound):
        assert trace.index(max(trace)) in (3, 4, 13, 14, 15)
        assert trace[0] < 0.3
        assert trace[11] < 0.4


def test_a_file_that_is_no_clip_is_described(tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("this is no video")
    assert read_clip(text).problem.startswith("notes.mp4 could not be decoded")
    assert read_clip(tmp_path / "gone.mp4").problem == "gone.mp4 is missing"
    assert read_clip(text).poster == ""


def test_a_truncated_clip_never_raises(tmp_path: Path) -> None:
    whole = encode_clip(tmp_path / "whole.mp4").read_bytes()
    cut = tmp_path / "cut.mp4"
    for length in (100, len(whole) // 2, len(whole) - 200):
        cut.write_bytes(whole[:length])
        media = read_clip(cut)
        assert media.problem or media.poster


def test_sound_that_starts_later_than_the_picture_is_drawn_later(tmp_path: Path) -> None:
    at_once = read_clip(encode_clip(tmp_path / "a.mp4")).sound
    later = read_clip(encode_clip(tmp_path / "b.mp4", sound_late_s=0.25)).sound
    assert later.index(max(later)) - at_once.index(max(at_once)) == pytest.approx(6, abs=1)
    assert max(later[:6]) == 0


def test_a_clip_without_sound_has_no_sound_trace(tmp_path: Path) -> None:
    media = read_clip(encode_clip(tmp_path / "mute.mp4", with_sound=False))
    assert media.sound == []
    assert len(media.picture) == 24
    assert media.problem == ""
