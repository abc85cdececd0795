import os
import subprocess
import sys

import pytest

from nava.config.registry import RegistryConfig
from nava.registry.mlflow_registry import CHAMPION, MlflowRegistry, database_path
from nava.registry.mlflow_run import MlflowRun, flatten


@pytest.fixture
def registry(run):
    return MlflowRegistry(RegistryConfig(), run.root)


def version(registry, **tags):
    run = registry.client.create_run(registry.experiment_id())
    return registry.create_version(run.info.run_id, "file:///nowhere", tags)


def test_a_registry_that_was_never_made_is_empty_and_is_not_made_by_asking(tmp_path):
    assert MlflowRegistry.is_empty(RegistryConfig(), tmp_path)
    assert not MlflowRegistry.is_empty(RegistryConfig(tracking_uri="http://mlflow:5000"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_asking_whether_it_is_empty_does_not_import_mlflow():
    code = (
        "import sys; from pathlib import Path; from nava.config.registry import RegistryConfig; "
        "from nava.registry.baseline import find_baseline; "
        "assert find_baseline(RegistryConfig(), Path('nowhere'), 'x').version is None; "
        "assert 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_empty_registry_answers_with_nothing(registry):
    assert registry.aliases() == {}
    assert registry.by_alias(CHAMPION) is None
    assert registry.version(1) is None
    assert registry.versions() == []
    assert registry.find("x") is None
    assert registry.model_tag("x") is None


def test_versions_are_found_by_number_identity_and_alias(registry):
    first, second = version(registry, **{"nava.identity": "a"}), version(registry, **{"nava.identity": "b"})
    registry.move_alias(CHAMPION, second.version)
    assert registry.find("a").version == first.version
    assert registry.by_alias(CHAMPION).version == 2
    assert [(item.version, item.aliases) for item in registry.versions()] == [(1, ()), (2, ("champion",))]
    registry.move_alias(CHAMPION, 1)
    assert registry.aliases() == {CHAMPION: 1}


def test_more_versions_than_a_page_are_all_listed(registry, monkeypatch):
    for _ in range(5):
        version(registry)
    search = registry.client.search_model_versions
    monkeypatch.setattr(
        registry.client, "search_model_versions", lambda query, **options: search(query, max_results=2, **options)
    )
    assert [item.version for item in registry.versions()] == [1, 2, 3, 4, 5]


def test_tags_of_versions_and_of_the_model(registry):
    version(registry)
    registry.tag_version(1, {"package_uri": "here", "package_sha256": "abc"})
    assert registry.version(1).tags == {"package_uri": "here", "package_sha256": "abc"}
    registry.move_alias(CHAMPION, 1)
    registry.tag_model("head", "h1")
    assert registry.model_tag("head") == "h1"
    assert registry.model_tag("other") is None


def test_artifacts_lie_in_the_run_folder(registry, run, tmp_path):
    mlflow_run = MlflowRun.find_or_start(registry, "nava.identity", "x")
    mlflow_run.log_json({"a": 1}, "record.json")
    assert list((run.root / "mlartifacts").rglob("record.json"))
    assert registry.download(mlflow_run.run_id, "record.json", tmp_path).read_text().strip().startswith("{")
    assert registry.uri == f"sqlite:///{database_path(run.root)}"


def test_telemetry_is_off(registry):
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()


def test_a_run_is_found_again_and_what_is_logged_twice_counts_once(registry):
    for _ in range(2):
        mlflow_run = MlflowRun.find_or_start(registry, "nava.identity", "x")
        mlflow_run.log_params({"training": {"steps": 3}})
        mlflow_run.log_metrics({"final": 0.5})
        mlflow_run.log_series({"loss": [(step, 1 / step) for step in range(1, 1_501)]})
        mlflow_run.tag({"who": "ada"})
        mlflow_run.finish()
    found = registry.client.get_run(mlflow_run.run_id)
    assert found.data.params == {"training.steps": "3"}
    assert found.data.tags["who"] == "ada"
    assert found.info.status == "FINISHED"
    assert len(registry.client.get_metric_history(mlflow_run.run_id, "loss")) == 1_500
    assert len(registry.client.get_metric_history(mlflow_run.run_id, "final")) == 1


def test_a_parameter_that_is_there_is_not_changed(registry):
    MlflowRun.find_or_start(registry, "nava.identity", "x").log_params({"a": 1})
    again = MlflowRun.find_or_start(registry, "nava.identity", "x")
    again.log_params({"a": 2, "b": "long " * 1000})
    params = registry.client.get_run(again.run_id).data.params
    assert params["a"] == "1"
    assert params["b"].startswith("long long")


def test_configurations_become_dotted_names():
    assert flatten({"a": {"b": {"c": 1}, "d": [1, 2]}, "e": None}) == {"a.b.c": "1", "a.d": "[1, 2]", "e": "None"}
