"""`summary.json` says what the page says, for machines."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from nava.pages.run_facts import RunPage
from nava.pages.run_summary import run_summary, write_run_summary
from tests.pages.sample_run_page import STEPS, metric, refused_page, rich_page


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> RunPage:
    return rich_page(tmp_path_factory.mktemp("run"), record_count=12)


def test_what_the_issue_asks_for_is_there(rich: RunPage) -> None:
    summary = run_summary(rich)
    assert summary["state"] == "succeeded"
    assert [step["name"] for step in summary["steps"]] == list(STEPS)
    assert {"name", "state", "seconds", "cached"} <= set(summary["steps"][0])
    assert summary["steps"][0]["cached"] is True
    assert sum(summary["dropped"].values()) == 12
    stage = summary["stages"][0]
    assert stage["last_validation_loss"] < stage["first_validation_loss"]
    assert summary["model_version"]["version"] == "3"
    gap = summary["metrics"]["av_sync_flash_gap"]
    assert (gap["value"], gap["n"]) == (0.55, 32)
    assert gap["ci_low"] > 0.1
    assert gap["against"]["untrained model"]["ci_low"] < 0 < gap["against"]["untrained model"]["ci_high"]
    assert summary["metrics"]["gain"]["against"]["guidance off"]["value"] == 0.71


def test_clips_are_generated_ones_by_their_path_in_the_repository(rich: RunPage) -> None:
    clips = run_summary(rich)["clips"]
    assert clips
    assert all(path.startswith("runs/test/clips/") for path in clips)
    assert not any(path.endswith("-3.mp4") for path in clips), "the real clips are no generated ones"


def test_counts_add_up(rich: RunPage) -> None:
    records = run_summary(rich)["records"]
    assert records["total"] == records["kept"] + records["dropped"] + records["failed"] + records["quarantined"]


def test_a_metric_that_was_not_measured_says_why(rich: RunPage) -> None:
    skipped = run_summary(rich)["metrics"]["fvd"]
    assert skipped["value"] is None
    assert "1,024" in skipped["reason"]


def test_a_refused_run_names_step_rule_and_records(tmp_path: Path) -> None:
    summary = run_summary(refused_page(tmp_path))
    assert summary["state"] == "gate_failed"
    assert summary["failure"]["step"] == "validate"
    assert summary["failure"]["exit_code"] == 3
    (gate,) = summary["gates"]
    assert gate["failed_rules"][0]["offending"][0] == "clip-0000"
    assert summary["model_version"] is None
    assert summary["promotion"] is None


def test_an_empty_run_has_the_same_keys(rich: RunPage) -> None:
    empty = run_summary(RunPage("test", "failed", "2031-01-01"))
    assert set(empty) == set(run_summary(rich))
    assert empty["dropped"] == {}
    assert empty["records"] is None


def test_it_is_written_as_json(rich: RunPage, tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_run_summary(path, rich)
    assert json.loads(path.read_text()) == json.loads(json.dumps(run_summary(rich)))


def test_values_that_json_cannot_hold_are_refused_and_the_old_file_stays(rich: RunPage, tmp_path: Path) -> None:
    path = tmp_path / "summary.json"
    write_run_summary(path, rich)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        write_run_summary(path, replace(rich, metrics=[metric("bad", "Bad", math.nan, 0.1)]))
    assert path.read_bytes() == before
