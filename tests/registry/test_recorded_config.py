"""Commands that look at a run later find its registry where the run was set to keep it."""

import shutil

import pytest

from nava.config.registry import RegistryConfig
from nava.config.serving import ServingConfig
from nava.registry.mlflow_registry import CHAMPION, EVIDENCE_TAG, PACKAGE_SHA256_TAG, PACKAGE_URI_TAG, MlflowRegistry
from nava.registry.promotion import promote_by_hand
from nava.registry.recorded_config import recorded_config
from nava.registry.versions import current_champion, list_versions
from nava.runtime.errors import InputError
from nava.runtime.storage import write_json
from nava.runtime.store import RunRow, Store
from nava.serving.command import champion_package


def record(run_dir, run_id, started_at, sections):
    """A run as `nava pipeline run` records it, with a start of its own."""
    config = run_dir / "config" / f"{run_id}.json"
    write_json(config, {"config": sections, "identity": {}})
    store = Store(f"sqlite:///{run_dir / 'store.db'}")
    store.migrate()
    store.start_run(run_id, "lifecycle", "demo", {"config": str(config)})
    with store.session() as session:
        session.get(RunRow, run_id).started_at = started_at
    return config


def test_without_a_run_the_schemas_own_values_count(tmp_path):
    assert recorded_config(tmp_path, RegistryConfig) == RegistryConfig()
    assert not (tmp_path / "store.db").exists()
    Store(f"sqlite:///{tmp_path / 'store.db'}").migrate()
    assert recorded_config(tmp_path, RegistryConfig) == RegistryConfig()


def test_the_newest_run_counts_whichever_was_written_last(tmp_path):
    record(tmp_path, "new", "2026-02-02T00:00:00.000+00:00", {"registry": {"model_name": "new"}})
    record(tmp_path, "old", "2026-01-01T00:00:00.000+00:00", {"registry": {"model_name": "old"}})
    assert recorded_config(tmp_path, RegistryConfig) == RegistryConfig(model_name="new")
    assert recorded_config(tmp_path, ServingConfig) == ServingConfig()


def test_a_run_that_was_moved_still_has_its_settings(tmp_path):
    (tmp_path / "here").mkdir()
    record(tmp_path / "here", "one", "2026-01-01T00:00:00.000+00:00", {"registry": {"model_name": "mine"}})
    shutil.move(tmp_path / "here", tmp_path / "there")
    assert recorded_config(tmp_path / "there", RegistryConfig).model_name == "mine"


def test_settings_that_are_gone_or_of_another_release_are_said(tmp_path):
    config = record(tmp_path, "one", "2026-01-01T00:00:00.000+00:00", {"registry": {"flavour": "sweet"}})
    with pytest.raises(InputError, match=r"(?s)section registry is not of this release.*flavour"):
        recorded_config(tmp_path, RegistryConfig)
    config.unlink()
    with pytest.raises(InputError, match="is gone"):
        recorded_config(tmp_path, RegistryConfig)


def test_versions_promotion_and_serving_use_the_registry_of_the_run(tmp_path, empty_database):
    run_dir, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    run_dir.mkdir()
    elsewhere.mkdir()
    shutil.copyfile(empty_database, elsewhere / "registry.db")
    settings = {"model_name": "mine", "tracking_uri": f"sqlite:///{elsewhere / 'registry.db'}"}
    settings["key_dir"] = str(elsewhere / "keys")
    record(run_dir, "one", "2026-01-01T00:00:00.000+00:00", {"registry": settings})
    registry = MlflowRegistry(RegistryConfig(**settings), run_dir)
    run = registry.client.create_run(registry.experiment_id())
    evidence = '{"model_package": "abc"}'
    tags = {PACKAGE_URI_TAG: "/packages/abc", PACKAGE_SHA256_TAG: "abc", EVIDENCE_TAG: evidence}
    registry.create_version(run.info.run_id, "file:///nowhere", tags)
    assert [(item["name"], item["version"]) for item in list_versions(run_dir)] == [("mine", 1)]
    assert promote_by_hand(run_dir, 1, "it sounds good") == "champion: mine no version -> v1 (ledger entry 1)"
    assert registry.aliases() == {CHAMPION: 1}
    assert current_champion(run_dir).name == "mine"
    assert champion_package(run_dir).public_key.parent == elsewhere / "keys"
    assert not (run_dir / "mlflow.db").exists()
