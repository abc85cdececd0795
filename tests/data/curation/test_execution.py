"""Stages under the local pool: one outcome per task, results written last, and nothing lost to a task that dies."""

import pytest

from nava.config.curation import ExecutionConfig
from nava.data.curation.execution import LocalExecutor, has_result, make_executor, read_result, run_stages, write_result
from nava.runtime.errors import InputError
from tests.data.curation.toy_stages import CutStage, LosingStage, TrapStage, stages, tasks_in

NAMES = ["a", "b", "stumbles", "c", "poison", "d", "twice", "refused", "e"]


def run(folder, names, workers=2, attempts=3, timeout_s=60.0):
    folder.mkdir(parents=True, exist_ok=True)
    config = ExecutionConfig(workers=workers, attempts=attempts, source_timeout_s=timeout_s)
    outcomes = list(LocalExecutor(config).run(stages(folder), tasks_in(folder, names)))
    assert sorted(outcome.task.task_id for outcome in outcomes) == sorted(f"src-{name}" for name in names)
    return {outcome.task.task_id: outcome for outcome in outcomes}


def records(folder, name):
    (task,) = tasks_in(folder, [name])
    return read_result(task)[0]


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    return folder, run(folder, NAMES)


def test_good_tasks_are_done_and_their_results_lie_in_their_folders(mixed):
    folder, outcomes = mixed
    for name in "abcde":
        assert not outcomes[f"src-{name}"].failure
        assert [row["lufs"] for row in records(folder, name)] == [-20.0, -21.0]


def test_a_task_that_kills_its_worker_every_time_is_reported_after_so_many_attempts(mixed):
    folder, outcomes = mixed
    assert outcomes["src-poison"].failure == "killed"
    assert outcomes["src-poison"].detail == "ended its worker process each of 3 times"
    assert (folder / "deaths-src-poison").read_text() == "xxx"
    assert not has_result(outcomes["src-poison"].task)


def test_a_task_whose_worker_was_killed_twice_is_done_in_the_end(mixed):
    folder, outcomes = mixed
    assert not outcomes["src-twice"].failure
    assert len(records(folder, "twice")) == 2


def test_what_a_stage_stumbles_over_becomes_the_records_reason(mixed):
    folder, outcomes = mixed
    assert not outcomes["src-stumbles"].failure
    rows = records(folder, "stumbles")
    assert {row["drop_reason"] for row in rows} == {"stage_error"}
    assert {row["detail"] for row in rows} == {"toy_trap: ValueError: not today"}
    assert {row["status"] for row in rows} == {"failed"}
    assert all(row.get("lufs") is None for row in rows)


def test_a_refused_source_is_one_record(mixed):
    (row,) = records(mixed[0], "refused")
    assert (row["clip_id"], row["drop_reason"]) == ("src-refused", "undecodable")


def test_stages_are_set_up_once_per_worker(mixed):
    marks = list(mixed[0].glob("setup-*"))
    assert marks
    assert all(mark.read_text() == "x" for mark in marks)


def test_a_task_that_hangs_is_ended(tmp_path):
    assert run(tmp_path, ["hangs"], timeout_s=1.0)["src-hangs"].failure == "timed_out"


def test_a_second_run_does_nothing_twice(tmp_path):
    run(tmp_path, ["a"], workers=1)
    before = (tmp_path / "a" / "result.json").stat().st_mtime_ns
    run(tmp_path, ["a", "b"], workers=1)
    assert (tmp_path / "a" / "result.json").stat().st_mtime_ns == before


def test_an_error_of_the_run_ends_it_and_is_no_record(tmp_path):
    with pytest.raises(InputError, match="weights are missing"):
        run(tmp_path, ["a", "hopeless", "b"], workers=1)
    assert not (tmp_path / "hopeless" / "result.json").exists()


def test_every_stage_is_timed(mixed):
    (task,) = tasks_in(mixed[0], ["a"])
    assert set(read_result(task)[1]) == {"toy_cut", "toy_trap", "toy_loudness"}


def test_a_stage_that_loses_a_record_is_found_out(tmp_path):
    (task,) = tasks_in(tmp_path, ["a"])
    with pytest.raises(RuntimeError, match="toy_losing lost records of a"):
        run_stages([CutStage(), LosingStage()], task)


def test_a_rejection_from_deep_inside_keeps_its_own_reason(tmp_path):
    (task,) = tasks_in(tmp_path, ["rejected"])
    write_result(run_stages([CutStage(), TrapStage(str(tmp_path))], task))
    assert {row["drop_reason"] for row in records(tmp_path, "rejected")} == {"damaged"}


def test_the_configuration_names_the_executor():
    assert isinstance(make_executor(ExecutionConfig()), LocalExecutor)
