"""From clips to everything that was made from them."""

import shutil

import pytest

from nava.artifacts import latent_shard
from nava.config.registry import RegistryConfig
from nava.registry.corpus_lineage import AffectedModel, trace_clips
from nava.registry.mlflow_registry import CHAMPION, MlflowRegistry
from nava.runtime.handle import Handle
from nava.runtime.store import Store
from tests.registry.run_folder import entry

CORPUS, OTHER_CORPUS = "c" * 64, "d" * 64


@pytest.fixture
def recorded(run):
    """Two runs in one folder: one trained on clips a and b, the other on clip z of another corpus."""
    store = Store(f"sqlite:///{run.root / 'store.db'}")
    store.migrate()
    for run_id, corpus, clips in (("run1", CORPUS, "ab"), ("run2", OTHER_CORPUS, "z")):
        folder = run.root / "shards" / run_id
        folder.mkdir(parents=True)
        latent_shard.write_index(folder, [entry(clip, shard=f"b/{clip}.safetensors") for clip in clips])
        handles = {
            "version": Handle("corpus_version", f"/{run_id}/corpus.json", corpus),
            "encode": Handle("latent_shards", str(folder.resolve()), f"shards of {run_id}"),
            "train_stage3": Handle("checkpoint", f"/{run_id}/stage3", f"checkpoint of {run_id}"),
            "evaluate": Handle("evaluation_result", f"/{run_id}/evaluation", f"evaluation of {run_id}"),
            "gate": Handle("gate_verdict", f"/{run_id}/gate", f"verdict of {run_id}"),
        }
        store.start_run(run_id, "lifecycle", "demo", {})
        store.plan_steps(run_id, {name: [] for name in handles})
        for name, handle in handles.items():
            store.update_step(run_id, name, handle=handle.to_dict(), state="succeeded")
    return run


def register(run, **hashes):
    registry = MlflowRegistry(RegistryConfig(), run.root)
    return registry.create_version("", "/source", {f"nava.{name}_sha256": sha for name, sha in hashes.items()})


def test_shards_checkpoints_and_evaluations_of_the_clips_are_found(recorded):
    lineage = trace_clips(recorded.root, {"a"}, {CORPUS})
    (use,) = lineage.latent_shards
    assert (use.sha256, use.files, use.clips) == ("shards of run1", ["b/a.safetensors"], 1)
    assert [(item.kind, item.step, item.run_id) for item in lineage.descendants] == [
        ("checkpoint", "train_stage3", "run1"),
        ("evaluation_result", "evaluate", "run1"),
    ]
    assert lineage.models == []
    assert lineage.to_dict()["latent_shards"][0]["clips"] == 1


@pytest.mark.parametrize(
    ("hashes", "because"),
    [
        ({"corpus": CORPUS, "shards": "lost", "checkpoint": "lost"}, "corpus"),
        ({"corpus": "old", "shards": "shards of run1", "checkpoint": "lost"}, "shards"),
        ({"corpus": "old", "shards": "lost", "checkpoint": "checkpoint of run1"}, "checkpoint"),
    ],
)
def test_a_model_version_is_found_by_any_hash_that_links_it(recorded, hashes, because):
    register(recorded, corpus=OTHER_CORPUS, shards="shards of run2", checkpoint="checkpoint of run2")
    found = register(recorded, **hashes)
    MlflowRegistry(RegistryConfig(), recorded.root).move_alias(CHAMPION, found.version)
    MlflowRegistry(RegistryConfig(), recorded.root).tag_version(
        found.version, {"package_uri": "/p", "package_sha256": "e"}
    )
    lineage = trace_clips(recorded.root, {"a"}, {CORPUS})
    assert lineage.models == [AffectedModel(found.name, found.version, [CHAMPION], "/p", "e", because)]


def test_deleted_shards_leave_the_corpus_to_tell(recorded):
    shutil.rmtree(recorded.root / "shards/run1")
    lineage = trace_clips(recorded.root, {"a"}, {CORPUS})
    assert lineage.latent_shards == []
    assert {item.run_id for item in lineage.descendants} == {"run1"}


def test_shards_that_no_run_recorded_are_found_by_their_index(recorded):
    (recorded.root / "shards/run1").rename(recorded.root / "shards/elsewhere")
    (use,) = trace_clips(recorded.root, {"b"}, set()).latent_shards
    assert (use.sha256, use.files) == ("", ["b/b.safetensors"])


def test_a_shard_without_a_record_links_nothing_by_its_empty_hash(recorded):
    (recorded.root / "shards/run1").rename(recorded.root / "shards/elsewhere")
    register(recorded, shards="")
    assert trace_clips(recorded.root, {"b"}, set()).models == []


def test_clips_that_nobody_used_touch_nothing(recorded):
    register(recorded, corpus=CORPUS)
    lineage = trace_clips(recorded.root, {"unseen"}, {"f" * 64})
    assert (lineage.latent_shards, lineage.descendants, lineage.models) == ([], [], [])


def test_a_folder_without_runs_has_no_lineage(tmp_path):
    lineage = trace_clips(tmp_path, {"a"}, {CORPUS}, RegistryConfig())
    assert (lineage.latent_shards, lineage.descendants, lineage.models) == ([], [], [])
