"""The shape of a stage: what it may read and add, and what becomes of records and sources that are taken out."""

import pickle
from typing import ClassVar

import pytest

from nava.artifacts.clip_manifest import FAILURE_REASONS, QUARANTINE_REASONS, Reason, Status, status_of
from nava.data.curation.stage import SourceRejectedError, check_stages, stage_versions
from tests.data.curation.toy_stages import CutStage, LoudnessStage, TrapStage, tasks_in


def test_stages_in_order_are_accepted_and_say_their_versions():
    chain = [CutStage(), TrapStage(""), LoudnessStage("")]
    check_stages(chain)
    assert stage_versions(chain) == {"toy_cut": "1", "toy_trap": "7", "toy_loudness": "1"}


def test_a_stage_that_reads_what_nobody_adds_is_refused():
    with pytest.raises(ValueError, match=r"toy_loudness reads \['t0_us'\]"):
        check_stages([LoudnessStage(""), CutStage()])


def test_a_stage_that_adds_no_column_of_the_manifest_is_refused():
    class Foreign(CutStage):
        name: ClassVar[str] = "foreign"
        adds: ClassVar[tuple[str, ...]] = ("beauty",)

    with pytest.raises(ValueError, match="beauty"):
        check_stages([Foreign()])


def test_two_stages_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two stages are called toy_cut"):
        check_stages([CutStage(), CutStage()])


def test_a_source_that_was_never_cut_has_one_record_with_its_own_id(tmp_path):
    (task,) = tasks_in(tmp_path, ["one"])
    task.reject(Reason.DAMAGED, "holes", "integrity", packet_errors=9)
    (clip,) = task.clips
    assert task.is_closed
    assert clip.row["clip_id"] == "src-one"
    assert (clip.row["status"], clip.row["drop_reason"]) == ("quarantined", "damaged")
    assert (clip.row["packet_errors"], clip.row["stage"], clip.row["licence"]) == (9, "integrity", "CC0-1.0")


def test_a_source_that_was_cut_keeps_its_records_and_what_was_decided(tmp_path):
    (task,) = CutStage().process(tasks_in(tmp_path, ["one"]))
    task.clips[0].close(Reason.SILENT, "no sound", "filters")
    task.reject(Reason.STAGE_ERROR, "stumbled", "sound")
    assert [clip.row["clip_id"] for clip in task.clips] == ["src-one-0", "src-one-1"]
    assert [clip.row["drop_reason"] for clip in task.clips] == ["silent", "stage_error"]
    assert [clip.row["status"] for clip in task.clips] == ["dropped", "failed"]


def test_every_reason_has_one_status():
    assert not QUARANTINE_REASONS & FAILURE_REASONS
    assert {status_of(reason) for reason in Reason} == {Status.DROPPED, Status.FAILED, Status.QUARANTINED}
    assert status_of(Reason.UNDECODABLE) is Status.QUARANTINED
    assert status_of(Reason.NEAR_DUPLICATE) is Status.DROPPED


def test_a_rejection_travels_between_processes():
    error = pickle.loads(pickle.dumps(SourceRejectedError(Reason.DAMAGED, "holes")))
    assert (error.reason, error.detail) == (Reason.DAMAGED, "holes")
