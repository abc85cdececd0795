import subprocess

import pytest

from nava.registry.provenance import (
    collect_run_record,
    cost,
    git_state,
    hardware,
    library_versions,
    resolved_config,
    run_steps,
)
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import write_json
from nava.runtime.store import Store


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q")
    (folder / "code.py").write_text("1\n")
    git(folder, "add", "code.py")
    git(folder, "commit", "-q", "-m", "first")
    return folder


@pytest.fixture
def stored(run):
    """A run that the store knows, with two steps."""
    write_json(run.root / "config.json", {"config": {"seed": 3, "training": {"steps": 7}}})
    store = Store(f"sqlite:///{run.root / 'store.db'}")
    store.migrate()
    store.start_run("run1", "lifecycle", "demo", {"config": str(run.root / "config.json")})
    store.update_step("run1", "train_stage1", state="succeeded", seconds=40.0)
    store.update_step("run1", "register", state="running")
    return run


def test_a_clean_checkout(checkout):
    sha, dirty = git_state(checkout)
    assert len(sha) == 40
    assert dirty is False


def test_a_changed_file_makes_it_dirty_and_a_new_one_does_not(checkout):
    (checkout / "untracked.txt").write_text("")
    assert git_state(checkout)[1] is False
    (checkout / "code.py").write_text("2\n")
    assert git_state(checkout)[1] is True


def test_outside_a_checkout_nothing_is_guessed(tmp_path):
    assert git_state(tmp_path) == (None, None)
    (tmp_path / ".git").mkdir()
    assert git_state(tmp_path) == (None, None)


def test_libraries_and_hardware_are_those_of_this_machine():
    import sqlalchemy

    assert library_versions()["SQLAlchemy"] == sqlalchemy.__version__
    assert list(library_versions()) == sorted(library_versions())
    found = hardware()
    assert found["cores"] >= 1
    assert found["memory_gib"] > 0
    assert isinstance(found["accelerators"], list)


def test_the_cost_counts_the_steps_that_have_ended(stored):
    found = cost(run_steps(stored.step("register")))
    assert found["step_seconds"] == {"train_stage1": 40.0}
    assert found["total_step_seconds"] == 40.0
    assert found["core_seconds"] == 40.0 * hardware()["cores"]
    assert found["amount"] is None
    assert found["currency"] is None


def test_without_a_store_there_are_no_steps_and_the_config_is_what_the_step_reads(run):
    step = run.step("register")
    assert run_steps(step) == []
    assert resolved_config(step) == run.sections
    assert cost([])["total_step_seconds"] == 0


def test_the_record_is_of_the_inputs_and_the_whole_configuration(stored):
    evaluation, checkpoint, shards, corpus = (
        stored.evaluation(),
        stored.checkpoint(),
        stored.shards(),
        stored.corpus(),
    )
    record = collect_run_record(stored.step("register"), evaluation, checkpoint, shards, corpus)
    assert record.evaluation_sha256 == evaluation.sha256
    assert record.checkpoint_sha256 == checkpoint.sha256
    assert record.shards_sha256 == shards.sha256
    assert record.data_sha256 == corpus.sha256
    assert record.config == {"seed": 3, "training": {"steps": 7}}
    assert record.config_sha256 == sha256_json(record.config)
    assert record.image_digests is None
