"""Opening a run: where it lies, what it writes, what it refuses."""

from pathlib import Path

import pytest

from nava.console.run_start import RunRequest, run_folder, start_run
from nava.runtime.errors import InputError
from nava.runtime.storage import read_json
from nava.runtime.store import Store


def test_a_run_lies_under_its_recipe_or_its_name(tmp_path: Path) -> None:
    assert run_folder("demo", str(tmp_path), "") == tmp_path / "demo"
    assert run_folder("demo", str(tmp_path), "mine") == tmp_path / "mine"


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "..", "."])
def test_a_name_cannot_lead_out_of_the_workspace(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="plain folder name"):
        run_folder("demo", str(tmp_path), name)


def test_starting_writes_the_configuration_and_the_record(tmp_path: Path) -> None:
    request = RunRequest(workspace=str(tmp_path), seed=5, source="/media/it's here", overrides=["training.threads=1"])
    reference = start_run(request)
    resolved = read_json(Path(reference.config_uri))
    assert resolved["config"]["seed"] == 5
    assert resolved["config"]["source"]["uri"] == "/media/it's here"
    assert resolved["config"]["training"]["threads"] == 1
    run = Store(reference.store_url).run(request.run_id)
    assert run is not None
    assert (run.state, run.recipe, run.parameters["seed"]) == ("running", "demo", 5)


def test_starting_again_finds_the_same_run(tmp_path: Path) -> None:
    request = RunRequest(workspace=str(tmp_path))
    first = start_run(request)
    Store(first.store_url).plan_steps(request.run_id, {"ingest": []})
    assert start_run(request) == first
    assert [row.name for row in Store(first.store_url).steps(request.run_id)] == ["ingest"]


def test_a_wrong_setting_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown setting"):
        start_run(RunRequest(workspace=str(tmp_path), overrides=["training.lr=1"]))
    assert list(tmp_path.iterdir()) == []


def test_a_rule_about_a_metric_that_there_is_not_is_refused_before_anything_runs(tmp_path: Path) -> None:
    rule = "{task: builtin.seed0.v1, metric: beauty, backend: tracks, minimum: 0.5}"
    request = RunRequest("smoke", workspace=str(tmp_path), overrides=[f"promotion.benchmark_rules=[{rule}]"])
    with pytest.raises(InputError, match=r"promotion\.benchmark_rules\[0\]\.metric.*beauty"):
        start_run(request)
    assert list(tmp_path.iterdir()) == []
