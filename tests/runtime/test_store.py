"""The store: migrations, runs, steps, and what a killed run leaves."""

from pathlib import Path

import pytest
from sqlalchemy import inspect

from nava.runtime.store import Base, RunRow, Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    store.migrate()
    return store


def test_migrations_make_the_tables_that_the_code_expects(store: Store) -> None:
    found = inspect(store.engine)
    for name, table in Base.metadata.tables.items():
        assert {column["name"] for column in found.get_columns(name)} == {column.name for column in table.columns}


def test_migrating_again_changes_nothing(store: Store) -> None:
    store.start_run("a", "lifecycle", "demo", {})
    store.migrate()
    assert store.run("a") is not None


def test_steps_come_back_in_planned_order(store: Store) -> None:
    store.start_run("a", "lifecycle", "demo", {})
    store.plan_steps("a", {"ingest": [], "curate": ["ingest"]})
    store.update_step("a", "unplanned", state="running")
    assert [(row.name, row.state) for row in store.steps("a")] == [
        ("ingest", "pending"),
        ("curate", "pending"),
        ("unplanned", "running"),
    ]


def test_a_new_run_marks_what_a_killed_one_left_running(store: Store) -> None:
    store.start_run("killed", "lifecycle", "demo", {})
    store.plan_steps("killed", {"ingest": []})
    store.update_step("killed", "ingest", state="running")
    store.start_run("next", "lifecycle", "demo", {})
    run = store.run("killed")
    assert run is not None
    assert run.state == "interrupted"
    assert store.steps("killed")[0].state == "interrupted"


def test_a_failed_transaction_leaves_nothing(store: Store) -> None:
    def half() -> None:
        with store.session() as session:
            session.add(RunRow(run_id="a", pipeline="p", recipe="r", state="running", started_at="now", parameters={}))
            session.flush()
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        half()
    assert store.run("a") is None


def test_a_loops_iterations_take_the_place_of_what_was_planned(store: Store) -> None:
    store.start_run("r", "evaluate", "demo", {})
    store.plan_steps("r", {"plan": [], "score": ["plan"], "aggregate": ["score", "plan"], "report": ["aggregate"]})
    for _ in range(2):
        store.unroll_step("r", "score", ["score_a", "score_b"])
    store.update_step("r", "score_b", started_at="2026-01-01")
    store.update_step("r", "score_a", started_at="2026-01-02")
    steps = {step.name: step for step in store.steps("r")}
    assert list(steps) == ["plan", "score_a", "score_b", "aggregate", "report"], "in the loop's order, not as they ran"
    assert steps["score_a"].depends_on == steps["score_b"].depends_on == ["plan"]
    assert steps["aggregate"].depends_on == ["score_a", "score_b", "plan"]
    assert {step.state for step in steps.values()} == {"pending"}
    assert steps["report"].depends_on == ["aggregate"]
    store.unroll_step("r", "unknown", ["x"])
    assert len(store.steps("r")) == 5
