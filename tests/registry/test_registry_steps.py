"""Gate, register, package and promote one after the other, on a real MLflow database and a real signature."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from nava.artifacts.gate_verdict import read_verdict
from nava.artifacts.model_package import load_package
from nava.artifacts.model_version import read_model_version
from nava.artifacts.promotion_ledger import read_ledger, verify_ledger
from nava.artifacts.run_record import read_run_record
from nava.artifacts.signature import SignatureRefused
from nava.config.generation import GenerationConfig
from nava.config.registry import RegistryConfig
from nava.registry.baseline import UNTRAINED
from nava.registry.gate_step import champion_identity, gate
from nava.registry.mlflow_registry import MlflowRegistry
from nava.registry.package_step import generation_settings, package
from nava.registry.promote_step import ledger_identity, promote
from nava.registry.promotion import promote_by_hand, rollback_run
from nava.registry.register_step import evaluation_metrics, register
from nava.registry.versions import current_champion, list_versions
from nava.runtime.errors import GateFailed, InputError, NavaError
from nava.runtime.handle import Handle
from nava.runtime.storage import write_json
from tests.registry.run_folder import metric, result


def serve_report(run):
    folder = run.root / "inputs" / "serve"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text("{}")
    return Handle.of_path("serve_report", folder)


def registered(run, gap=0.5, name="one", key="k"):
    evaluation = run.evaluation(gap)
    verdict = gate(run.step("gate", f"{key}-{gap}"), evaluation)
    version = register(
        run.step("register", f"{key}-{gap}"), evaluation, verdict, run.checkpoint(name), run.shards(), run.corpus()
    )
    return verdict, version


def whole(run, gap=0.5, name="one", key="k"):
    """The four steps; the handle of the promotion."""
    verdict, version = registered(run, gap, name, key)
    packaged = package(run.step("package", f"{key}-{gap}"), version, run.checkpoint(name), run.shards())
    return promote(run.step("promote", f"{key}-{gap}"), version, verdict, packaged, serve_report(run))


def registry_of(run):
    return MlflowRegistry(RegistryConfig(), run.root)


def test_from_evaluation_to_champion_and_once_more(new_run):
    run = new_run
    promotion = whole(run)
    assert promotion.meta["promoted"] is True
    assert promotion.meta["say"] == "nava v1 is champion (before: none)"
    (version,) = list_versions(run.root)
    assert version["aliases"] == ["candidate", "champion"]
    assert version["package_uri"] == str(run.root.resolve() / "packages" / version["package_sha256"])
    ledger = read_ledger(run.root / "promotion_ledger.json")
    verify_ledger(ledger)
    assert set(ledger[0].evidence) == {"model_version", "verdict", "model_package", "serve_report"}

    again = whole(run, key="again")
    assert again.sha256 == promotion.sha256
    assert len(list_versions(run.root)) == 1
    assert len(read_ledger(run.root / "promotion_ledger.json")) == 1
    assert current_champion(run.root).version == 1


def test_the_verdict_and_the_identity_stay_when_the_champion_is_the_candidate_itself(run):
    evaluation = run.evaluation()
    before = champion_identity(run.step("gate"), evaluation)
    first = gate(run.step("gate"), evaluation)
    assert before == UNTRAINED.fingerprint
    whole(run)
    assert champion_identity(run.step("gate"), evaluation) == before
    second = gate(run.step("gate", "again"), evaluation)
    assert second.sha256 == first.sha256
    assert second.meta["baseline"] == first.meta["baseline"]
    assert champion_identity(run.step("gate"), run.evaluation(0.9)) != before


def test_a_better_candidate_takes_over_and_a_worse_one_does_not(run):
    whole(run, 0.5, "one")
    promotion = whole(run, 0.6, "two")
    assert promotion.meta["say"] == "nava v2 is champion (before: v1)"
    assert {item["version"]: item["aliases"] for item in list_versions(run.root)} == {
        1: ["previous"],
        2: ["candidate", "champion"],
    }
    with pytest.raises(GateFailed, match="champion nava v2") as refusal:
        gate(run.step("gate", "worse"), run.evaluation(0.3))
    verdict = read_verdict(refusal.value.verdict)
    assert [rule.passed for rule in verdict.rules] == [True, True, True, True, False, True]
    assert current_champion(run.root).version == 2


def test_a_gate_without_a_champion_says_no_with_the_rule_and_writes_its_page(new_run):
    run = new_run
    with pytest.raises(GateFailed, match=r"av_sync_flash_gap.*0\.050 \[-0\.050, 0\.150\]") as refusal:
        gate(run.step("gate"), run.evaluation(0.05))
    assert refusal.value.exit_code == 3
    verdict = read_verdict(refusal.value.verdict)
    assert not verdict.passed
    assert (refusal.value.verdict.path / "verdict.html").is_file()
    assert not (run.root / "mlflow.db").exists()


def test_a_gate_with_nothing_to_look_at_says_no(run):
    empty = run.evaluation(0.5, result(metrics=[metric(n=3, primary=False, baseline_untrained=None)]))
    with pytest.raises(GateFailed, match="at least one rule"):
        gate(run.step("gate"), empty)


def test_registration_keeps_everything_that_says_where_a_version_came_from(run, tmp_path):
    _, handle = registered(run)
    version, registry = read_model_version(handle), registry_of(run)
    found = registry.version(version.version)
    assert found.tags["nava.corpus_sha256"] == "d" * 64
    assert found.tags["nava.checkpoint_sha256"] == run.checkpoint().sha256
    record = read_run_record(registry.download(version.run_id, "run_record.json", tmp_path))
    assert record.data_sha256 == "d" * 64
    assert record.libraries["torch"]
    assert record.hardware["cores"] >= 1
    assert record.cost["currency"] is None
    assert found.tags["nava.config_sha256"] == record.config_sha256
    data = registry.client.get_run(version.run_id).data
    assert data.metrics["evaluation/av_sync_flash_gap"] == 0.5
    assert data.metrics["evaluation/av_sync_flash_gap_ci_low"] == 0.4
    history = registry.client.get_metric_history(version.run_id, "stage3/loss")
    assert [(point.step, point.value) for point in history] == [(i, pytest.approx(1 / i)) for i in range(1, 6)]
    artifacts = {item.path for item in registry.client.list_artifacts(version.run_id, "evaluation")}
    assert {"evaluation/summary.json", "evaluation/samples.jsonl"} <= artifacts


def test_registering_the_same_pair_again_makes_no_second_version(run):
    _, first = registered(run)
    _, again = registered(run, key="again")
    assert read_model_version(again) == read_model_version(first)
    _, other = registered(run, name="two")
    assert read_model_version(other).version == 2


def test_the_run_record_lies_beside_the_version_also_when_it_was_registered_before(run, tmp_path):
    _, first = registered(run)
    record = read_run_record(first.path.parent / "run_record.json")
    version, registry = read_model_version(first), registry_of(run)
    assert record == read_run_record(registry.download(version.run_id, "run_record.json", tmp_path))
    run.sections["registry"] = {"licence": "MIT"}
    _, again = registered(run, key="again")
    assert again.path.parent != first.path.parent
    assert read_run_record(again.path.parent / "run_record.json") == record
    assert again.sha256 == first.sha256


def test_a_registration_that_was_killed_half_way_is_finished_by_the_next(run, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowRegistry, "create_version", killed)
        with pytest.raises(KeyboardInterrupt):
            registered(run)
    _, handle = registered(run)
    version, registry = read_model_version(handle), registry_of(run)
    assert version.version == 1
    runs = registry.client.search_runs([registry.experiment_id()])
    assert [item.info.run_id for item in runs] == [version.run_id]
    assert len(registry.client.get_metric_history(version.run_id, "stage3/loss")) == 5
    assert len(registry.client.get_metric_history(version.run_id, "evaluation/av_sync_flash_gap")) == 1


def test_the_run_record_has_the_whole_configuration_and_the_cost_of_the_steps(run, tmp_path):
    from nava.runtime.store import Store

    write_json(run.root / "config.json", {"config": {"training": {"steps": 7}}})
    store = Store(f"sqlite:///{run.root / 'store.db'}")
    store.migrate()
    store.start_run("run1", "lifecycle", "demo", {"config": str(run.root / "config.json")})
    store.update_step("run1", "train_stage1", state="succeeded", seconds=40.0)
    store.update_step("run1", "evaluate", state="succeeded", seconds=2.5)
    _, handle = registered(run)
    version, registry = read_model_version(handle), registry_of(run)
    record = read_run_record(registry.download(version.run_id, "run_record.json", tmp_path))
    assert record.config == {"training": {"steps": 7}}
    assert record.cost["total_step_seconds"] == 42.5
    assert record.cost["core_seconds"] == 42.5 * record.hardware["cores"]
    assert registry.client.get_run(version.run_id).data.params["training.steps"] == "7"


def test_the_package_is_signed_addressed_by_content_and_named_in_the_registry(run):
    _, version = registered(run)
    handle = package(run.step("package"), version, run.checkpoint(), run.shards())
    loaded = load_package(handle.path, Path(handle.meta["public_key"]), handle.sha256)
    assert handle.path.name == handle.sha256
    assert "0.500" in (handle.path / "README.md").read_text()
    settings = json.loads(loaded.generation.read_text())
    assert settings["video_shape"] == [48, 13, 4, 4]
    assert settings["sampler"]["steps"] == GenerationConfig().steps
    tags = list_versions(run.root)[0]["tags"]
    assert (tags["package_uri"], tags["package_sha256"]) == (handle.uri, handle.sha256)
    assert tags["package_signing_key_sha256"] == handle.meta["signing_key_sha256"]
    again = package(run.step("package", "again"), version, run.checkpoint(), run.shards())
    assert again == handle


def test_a_damaged_package_is_refused_and_built_anew_by_the_step(run):
    _, version = registered(run)
    handle = package(run.step("package"), version, run.checkpoint(), run.shards())
    (handle.path / "model.safetensors").write_bytes(b"evil")
    with pytest.raises(SignatureRefused, match=r"model\.safetensors"):
        load_package(handle.path, Path(handle.meta["public_key"]), handle.sha256)
    assert package(run.step("package", "again"), version, run.checkpoint(), run.shards()) == handle
    load_package(handle.path, Path(handle.meta["public_key"]), handle.sha256)


def test_a_package_of_another_checkpoint_than_was_registered_is_refused(run):
    _, version = registered(run)
    with pytest.raises(InputError, match="another checkpoint"):
        package(run.step("package"), version, run.checkpoint("two"), run.shards())


def test_a_version_that_the_registry_has_lost_is_said(run):
    _, version = registered(run)
    registry_of(run).client.delete_model_version("nava", "1")
    with pytest.raises(NavaError, match="the registry has lost nava v1"):
        package(run.step("package"), version, run.checkpoint(), run.shards())


def test_policy_manual_leaves_a_candidate_and_says_the_command(run):
    run.sections["promotion"] = {"policy": "manual"}
    promotion = whole(run)
    assert promotion.meta["promoted"] is False
    assert "nava registry promote --run-dir" in promotion.meta["say"]
    assert "--version 1" in promotion.meta["say"]
    assert list_versions(run.root)[0]["aliases"] == ["candidate"]
    assert not (run.root / "promotion_ledger.json").exists()


def test_the_identity_of_promote_stays_as_its_own_promotion_leaves_it_and_follows_every_later_move(run):
    whole(run, 0.5, "one")
    _, second = registered(run, 0.6, "two")
    step = run.step("promote", "identity")
    assert ledger_identity(step, second) == ""
    whole(run, 0.6, "two")
    assert ledger_identity(step, second) == ""
    rollback_run(run.root, "clips are noisy")
    rolled_back = ledger_identity(step, second)
    assert rolled_back == read_ledger(run.root / "promotion_ledger.json")[-1].entry_hash
    rollback_run(run.root, "they were not")
    assert ledger_identity(step, second) not in ("", rolled_back)


def test_another_promotion_asks_the_replaced_version_again(run):
    whole(run, 0.5, "one")
    _, first = registered(run, 0.5, "one", key="look")
    assert ledger_identity(run.step("promote"), first) == ""
    whole(run, 0.6, "two")
    assert ledger_identity(run.step("promote"), first) != ""


def test_what_was_rolled_back_stays_so_even_when_the_evidence_is_another(run):
    whole(run, 0.5, "one")
    whole(run, 0.6, "two")
    rollback_run(run.root, "clips are noisy")
    verdict, version = registered(run, 0.6, "two", key="again")
    packaged = package(run.step("package", "again"), version, run.checkpoint("two"), run.shards())
    report = serve_report(run)
    other = promote(run.step("promote", "again"), version, verdict, packaged, replace(report, sha256="f" * 64))
    assert other.meta["promoted"] is False
    assert other.meta["champion"] == 1
    assert other.meta["say"] == "nava v2 was promoted before and replaced since by v1; it stays replaced"
    assert current_champion(run.root).version == 1
    assert len(read_ledger(run.root / "promotion_ledger.json")) == 3


def test_policy_manual_is_asked_again_once_a_person_has_promoted(run):
    run.sections["promotion"] = {"policy": "manual"}
    assert whole(run).meta["promoted"] is False
    _, version = registered(run, key="look")
    assert ledger_identity(run.step("promote"), version) == ""
    promote_by_hand(run.root, 1, "it sounds good")
    assert ledger_identity(run.step("promote"), version) != ""
    (entry,) = read_ledger(run.root / "promotion_ledger.json")
    assert set(entry.evidence) == {"model_version", "verdict", "model_package", "serve_report"}
    promotion = whole(run, key="again")
    assert promotion.meta["promoted"] is True
    assert promotion.meta["say"] == "nava v1 is champion (before: none)"
    run.sections["promotion"] = {"policy": "auto"}
    assert whole(run, key="auto").meta["ledger_entry"] == 1


def test_an_unknown_policy_and_a_failed_verdict_promote_nothing(run):
    verdict, version = registered(run)
    packaged = package(run.step("package"), version, run.checkpoint(), run.shards())
    with pytest.raises(GateFailed) as refusal:
        gate(run.step("gate", "bad"), run.evaluation(0.0))
    with pytest.raises(NavaError, match="not a pass"):
        promote(run.step("promote"), version, refusal.value.verdict, packaged, serve_report(run))
    run.sections["promotion"] = {"policy": "maybe"}
    with pytest.raises(InputError, match="auto or manual"):
        promote(run.step("promote"), version, verdict, packaged, serve_report(run))
    assert current_champion(run.root) is None


def test_handles_survive_kfp_which_carries_numbers_as_doubles(run):
    whole(run, 0.5, "one")
    evaluation = run.evaluation(0.6)
    verdict = gate(run.step("gate", "kfp"), evaluation)
    baseline = {**verdict.meta["baseline"], "version": float(verdict.meta["baseline"]["version"])}
    carried = replace(verdict, meta={**verdict.meta, "baseline": baseline})
    version = register(
        run.step("register", "kfp"), evaluation, carried, run.checkpoint("two"), run.shards(), run.corpus()
    )
    assert read_model_version(version).baseline["version"] == 1
    packaged = package(run.step("package", "kfp"), version, run.checkpoint("two"), run.shards())
    assert promote(run.step("promote", "kfp"), version, carried, packaged, serve_report(run)).meta["champion"] == 2


def test_a_corpus_of_sound_alone_makes_a_package_without_a_picture(run):
    from nava.artifacts import latent_shard
    from tests.registry.run_folder import entry

    folder = run.root / "sound"
    folder.mkdir(parents=True)
    latent_shard.write_index(folder, [entry("a", video_shape=None), entry("b", video_shape=None, audio_shape=(9, 64))])
    settings = generation_settings(Handle.of_path("latent_shards", folder), GenerationConfig())
    assert settings["video_shape"] is None
    assert settings["audio_shape"] in ([52, 64], [9, 64])
    assert settings["max_seconds"] == settings["audio_shape"][0] / 25
    latent_shard.write_index(folder, [entry("a", video_shape=(48, 13, 4, 4))])
    settings = generation_settings(Handle.of_path("latent_shards", folder), GenerationConfig())
    assert settings["max_seconds"] == pytest.approx(49 / 24, abs=1e-3)


def test_metrics_that_were_skipped_are_not_logged_as_numbers():
    skipped = replace(
        metric("other"),
        status="skipped",
        reason="none",
        **dict.fromkeys(("value", "ci_low", "ci_high", "n", "coverage", "baseline_untrained")),
    )
    logged = evaluation_metrics(result(metrics=[metric(), skipped]))
    assert logged["evaluation/av_sync_flash_gap_untrained"] == 0.01
    assert not [name for name in logged if "other" in name]
