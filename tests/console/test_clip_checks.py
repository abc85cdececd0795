"""What the report says of thresholds is what the filters and the subsets decide."""

import itertools
import random
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from nava.config.curation import FilterConfig, SubsetConfig, TextConfig
from nava.console.clip_checks import SCORE_RULES, duplicate_check, filter_checks, subset_checks, unbound_scores
from nava.console.curated_folder import CuratedFolder
from nava.data.curation.filters import FilterStage
from nava.data.curation.subsets import STAGE2, STAGE3, SubsetStage
from nava.runtime.storage import read_json, write_json
from tests.console.small_corpus import BOX, KEPT, SOUND, record, rows, write_tables

RANGES = {
    "silence_ratio": (0.9, 1.0),
    "lufs": (-60.0, -30.0),
    "clip_ratio": (0.0, 0.006),
    "exposure": (0.0, 0.04),
    "static_ratio": (0.9, 1.0),
    "sharpness": (1.0, 9.0),
    "blockiness": (3.0, 9.0),
    "av_offset_s": (-0.3, 0.3),
    "av_conf": (0.0, 0.4),
}
COLUMNS = {str(rule.reason): rule.column for rule in SCORE_RULES}
COLUMNS |= {"subtitle_text": "ocr_boxes", "audio_video_offset": "av_offset_s"}


@pytest.fixture
def folder(tmp_path: Path) -> CuratedFolder:
    write_tables(tmp_path, rows())
    return CuratedFolder(tmp_path)


def drawn(seed: int, modality: str) -> dict[str, Any]:
    """A record with scores on both sides of the thresholds."""
    draw = random.Random(seed)
    scores: dict[str, Any] = {name: draw.uniform(*ends) for name, ends in RANGES.items()}
    if draw.random() < 0.3:
        # Most records that break one rule only would otherwise never be seen.
        scores = {name: value for name, value in scores.items() if name == draw.choice(list(RANGES))}
    text = draw.choice(["Look over here", "ab"])
    scores["ocr_boxes"] = [BOX | {"text": text, "score": draw.uniform(0.4, 0.8)}] * draw.randint(0, 2)
    return record(KEPT, "one", modality=modality, text_check="read", **scores)


@pytest.mark.parametrize("modality", ["av", "audio"])
def test_the_first_rule_that_fails_is_the_reason_of_the_filters(folder: CuratedFolder, modality: str) -> None:
    stage = FilterStage(FilterConfig(), TextConfig())
    seen = set()
    for seed in range(800):
        row = drawn(seed, modality)
        decision = stage.decide(row)
        failed = {check.reason for check in filter_checks(folder, row) if check.passed is False}
        assert bool(failed) == (decision is not None), row
        if decision:
            assert str(decision.reason) in failed
            assert failed <= {str(one.reason) for one in reasons_without(stage, row)}
            seen.add(str(decision.reason))
    assert len(seen) == (9 if modality == "av" else 3)


def reasons_without(stage: FilterStage, row: dict[str, Any]) -> list[Any]:
    """Every decision that the filters would take if the ones before it had not spoken."""
    mended = {
        "silence_ratio": 0.1,
        "lufs": -20.0,
        "clip_ratio": 0.0,
        "exposure": 0.9,
        "static_ratio": 0.1,
        "sharpness": 20.0,
        "blockiness": 1.0,
        "ocr_boxes": [],
        "av_offset_s": 0.0,
    }
    decisions = []
    row = dict(row)
    while decision := stage.decide(row):
        decisions.append(decision)
        column = COLUMNS[str(decision.reason)]
        row[column] = mended[column]
    return decisions


def test_every_threshold_of_the_filters_is_shown() -> None:
    shown = {rule.setting for rule in SCORE_RULES} | {"max_av_offset_s", "min_av_conf"}
    assert shown == {item.name for item in fields(FilterConfig)}


def test_bounds_are_those_that_were_recorded(folder: CuratedFolder) -> None:
    value = read_json(folder.path / "curation.json")
    value["config"]["curation"]["filters"]["min_lufs"] = -10.0
    write_json(folder.path / "curation.json", value)
    again = CuratedFolder(folder.path)
    loud = {check.column: check for check in filter_checks(again, again.row(KEPT))}["lufs"]
    assert (loud.bound, loud.passed, loud.kind, loud.reason) == (-10.0, False, "at least", "too_quiet")


def test_an_offset_without_confidence_does_not_count(folder: CuratedFolder) -> None:
    for confidence, passed in ((0.1, True), (0.5, False)):
        row = record(KEPT, "one", av_offset_s=0.4, av_conf=confidence)
        check = filter_checks(folder, row)[-1]
        assert check.passed is passed
        assert ("does not count" in check.note) is passed


def test_sound_alone_is_not_held_against_rules_about_pictures(folder: CuratedFolder) -> None:
    checks = {check.column: check for check in filter_checks(folder, folder.row(SOUND))}
    assert checks["sharpness"].passed is None
    assert checks["sharpness"].note == "sound alone has no picture"
    assert checks["lufs"].passed is True


def test_nothing_is_judged_without_recorded_settings(tmp_path: Path) -> None:
    write_tables(tmp_path, rows(), recorded=False)
    folder = CuratedFolder(tmp_path)
    checks = filter_checks(folder, folder.row(KEPT))
    assert {check.passed for check in checks} == {None}
    assert checks[1].value == -20.0
    assert "not recorded" in checks[-2].note


def test_text_that_was_read_is_quoted(folder: CuratedFolder) -> None:
    row = record(KEPT, "one", ocr_boxes=[BOX, BOX | {"text": "ab"}], text_check="read")
    check = {check.column: check for check in filter_checks(folder, row)}["ocr_boxes"]
    assert (check.value, check.passed) == (1, False)
    assert "“Look over here” at 0.5 s (score 0.90)" in check.note
    small = record(KEPT, "one", ocr_boxes=[BOX | {"text": "ab"}], text_check="read")
    assert "none is a subtitle" in {check.column: check for check in filter_checks(folder, small)}["ocr_boxes"].note


@pytest.mark.parametrize(
    ("lufs", "sharpness", "offset_s", "confidence", "speakers"),
    itertools.product([-45.0, -20.0], [5.0, 9.0], [0.0, 0.1], [0.1, 0.6], [0, 2]),
)
def test_the_subsets_are_what_their_checks_say(
    folder: CuratedFolder, lufs: float, sharpness: float, offset_s: float, confidence: float, speakers: int
) -> None:
    scores = {
        "lufs": lufs,
        "sharpness": sharpness,
        "av_offset_s": offset_s,
        "av_conf": confidence,
        "speakers": speakers,
    }
    row = record(KEPT, "one", **scores)
    failed = any(check.passed is False for check in subset_checks(folder, row))
    subsets = SubsetStage(SubsetConfig()).process(row)
    assert (STAGE3 in subsets) is not failed


def test_a_cropped_picture_is_not_for_stage_3(folder: CuratedFolder) -> None:
    for crop, cut in ((None, 0.0), ({"x0": 0.0, "y0": 0.0, "x1": 1.0, "y1": 0.75}, 0.25)):
        row = record(KEPT, "one", crop=crop)
        check = next(check for check in subset_checks(folder, row) if check.column == "crop")
        assert (check.value, check.passed) == (cut, crop is None)
        assert (STAGE3 in SubsetStage(SubsetConfig()).process(row)) is check.passed


@pytest.mark.parametrize(("lufs", "silence"), itertools.product([-45.0, -20.0], [0.5, 0.9]))
def test_sound_alone_is_for_stage_2_if_it_is_good(folder: CuratedFolder, lufs: float, silence: float) -> None:
    row = record(SOUND, "two", modality="audio", lufs=lufs, silence_ratio=silence)
    checks = subset_checks(folder, row)
    assert [check.column for check in checks] == ["lufs", "silence_ratio"]
    assert (STAGE2 in SubsetStage(SubsetConfig()).process(row)) is all(check.passed for check in checks)


def test_a_repetition_is_held_against_the_cosine(folder: CuratedFolder) -> None:
    check = duplicate_check(folder, record(KEPT, "one", dup_cosine=0.99))
    assert check is not None
    assert (check.bound, check.passed) == (0.975, False)
    assert duplicate_check(folder, record(KEPT, "one")) is None


def test_scores_without_a_threshold_say_none(folder: CuratedFolder) -> None:
    checks = unbound_scores(folder.row(KEPT))
    assert {check.column for check in checks} >= {"motion", "peak_db", "packet_errors"}
    assert all(check.bound is None and check.passed is None for check in checks)
