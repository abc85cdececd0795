"""The same stages on Ray Data: the same results, and no task vanishes with a block that failed."""

import pytest

from nava.config.curation import ExecutionConfig
from nava.data.curation import ray_data
from nava.data.curation.execution import LocalExecutor, Outcome, read_result
from nava.data.curation.ray_data import RayExecutor, fused
from nava.data.curation.stage import Resources
from nava.runtime.errors import InputError
from tests.data.curation.toy_stages import CutStage, LoudnessStage, TrapStage, stages, tasks_in

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'nava[ray]'")

NAMES = ["a", "b", "stumbles", "c", "poison", "d", "refused", "e"]


@pytest.fixture(scope="module", autouse=True)
def ended():
    yield
    ray.shutdown()


def outcomes_of(executor, folder, names):
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = list(executor.run(stages(folder), tasks_in(folder, names)))
    assert sorted(outcome.task.task_id for outcome in outcomes) == sorted(f"src-{name}" for name in names)
    return {outcome.task.task_id: (outcome.failure, outcome.detail) for outcome in outcomes}


def results_of(folder, outcomes):
    names = [task_id.removeprefix("src-") for task_id, (failure, _) in outcomes.items() if not failure]
    return {name: read_result(task)[0] for name, task in zip(names, tasks_in(folder, names), strict=True)}


def test_ray_gives_what_the_local_pool_gives_and_names_the_poison(tmp_path):
    config = ExecutionConfig(executor="ray", workers=2, attempts=2, block_sources=2)
    on_ray = outcomes_of(RayExecutor(config), tmp_path / "ray", NAMES)
    here = outcomes_of(LocalExecutor(config), tmp_path / "local", NAMES)
    assert on_ray == here
    assert on_ray["src-poison"] == ("killed", "ended its worker process each of 2 times")
    assert results_of(tmp_path / "ray", on_ray) == results_of(tmp_path / "local", here)


def test_a_ray_worker_that_ends_with_its_node_costs_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(ray_data, "_START_GRACE_S", 60.0)  # Ray itself may wait for a dead worker for ever
    config = ExecutionConfig(executor="ray", workers=1, attempts=2, block_sources=1, source_timeout_s=30.0)
    outcomes = outcomes_of(RayExecutor(config), tmp_path / "ended", [*"abc", "unseats", *"defg"])
    assert set(outcomes.values()) == {("", "")}
    assert (tmp_path / "ended" / "deaths-src-unseats").read_text() == "x"


def test_a_task_that_never_comes_back_is_reported_and_the_rest_is_done(tmp_path, monkeypatch):
    sent = []

    def losing(executor, stages, tasks, block):
        sent.append([task.task_id for task in tasks])
        return {task.task_id: Outcome(task) for task in tasks if task.task_id != "src-b"}

    monkeypatch.setattr(RayExecutor, "_map", losing)
    config = ExecutionConfig(executor="ray", workers=1, attempts=2)
    outcomes = outcomes_of(RayExecutor(config), tmp_path, ["a", "b", "c"])
    assert sent == [["src-a", "src-b", "src-c"], ["src-b"], ["src-b"]]
    assert outcomes.pop("src-b") == ("killed", "the Ray worker ended: with its block, and alone 2 times")
    assert outcomes == {"src-a": ("", ""), "src-c": ("", "")}


def test_a_source_that_hangs_is_passed_by_and_its_block_is_done(tmp_path):
    config = ExecutionConfig(executor="ray", workers=1, attempts=1, block_sources=3, source_timeout_s=1.0)
    outcomes = outcomes_of(RayExecutor(config), tmp_path / "hangs", ["a", "hangs", "b"])
    assert {name: failure for name, (failure, _) in outcomes.items()} == {
        "src-a": "",
        "src-hangs": "timed_out",
        "src-b": "",
    }


def test_waves_leave_results_behind_and_are_not_repeated(tmp_path):
    config = ExecutionConfig(executor="ray", workers=1, attempts=1, block_sources=1, wave_sources=1)
    folder = tmp_path / "waves"
    folder.mkdir()
    flow = RayExecutor(config).run(stages(folder), tasks_in(folder, ["a", "b"]))
    assert next(flow).task.task_id == "src-a"
    flow.close()
    assert (folder / "a" / "result.json").is_file()
    assert not (folder / "b" / "result.json").exists()
    before = (folder / "a" / "result.json").stat().st_mtime_ns
    assert outcomes_of(RayExecutor(config), folder, ["a", "b"]) == {"src-a": ("", ""), "src-b": ("", "")}
    assert (folder / "a" / "result.json").stat().st_mtime_ns == before


def test_an_error_of_the_run_ends_it_instead_of_vanishing_with_its_block(tmp_path):
    config = ExecutionConfig(executor="ray", workers=1, attempts=1)
    with pytest.raises(InputError, match="weights are missing"):
        outcomes_of(RayExecutor(config), tmp_path / "hopeless", ["hopeless"])


def test_neighbours_with_the_same_share_of_a_gpu_are_one_operator():
    class OnGpu(LoudnessStage):
        resources = Resources(cores=1.0, gpu_share=0.5)

    chain = [CutStage(), TrapStage(""), OnGpu(""), OnGpu(""), LoudnessStage("")]
    assert [len(group) for group in fused(chain)] == [2, 2, 1]
