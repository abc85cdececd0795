"""The view of a run: plain lines where there is no terminal, a table where there is one."""

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from nava.console.run_view import RunView
from nava.runtime.storage import write_json
from nava.runtime.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(f"sqlite:///{tmp_path / 'store.db'}")
    store.migrate()
    store.start_run("run", "lifecycle", "demo", {})
    store.plan_steps("run", {"ingest": [], "curate": ["ingest"], "train_stage1": ["curate"]})
    return store


def view_of(store: Store, root: Path, terminal: bool) -> tuple[RunView, io.StringIO]:
    view = RunView(store, "run", root)
    text = io.StringIO()
    view.console = Console(file=text, force_terminal=terminal, width=120)
    return view, text


def test_each_change_is_one_plain_line(store: Store, tmp_path: Path) -> None:
    view, text = view_of(store, tmp_path, terminal=False)
    with view:
        store.update_step("run", "ingest", state="succeeded", seconds=2.0)
        store.update_step("run", "curate", state="failed", seconds=0.5, error={"message": "no media"})
    lines = text.getvalue().splitlines()
    assert "ingest        succeeded in 2.0 s" in lines
    assert "curate        failed in 0.5 s: no media" in lines
    assert not any("train_stage1" in line for line in lines)


def test_a_reused_step_says_so(store: Store, tmp_path: Path) -> None:
    view, text = view_of(store, tmp_path, terminal=False)
    with view:
        store.update_step("run", "ingest", state="succeeded", seconds=0.1, cached=True)
    assert "ingest        succeeded in 0.1 s, reused" in text.getvalue()


def test_the_table_shows_how_far_a_running_step_is(store: Store, tmp_path: Path) -> None:
    write_json(
        tmp_path / "steps" / "curate" / ("k" * 16) / "progress.json", {"label": "files", "done": 40, "total": 160}
    )
    store.update_step("run", "curate", state="running")
    view, text = view_of(store, tmp_path, terminal=True)
    with view:
        pass
    assert "files 40/160" in text.getvalue()


def test_the_table_leaves_stdout_to_the_run(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view, _ = view_of(store, tmp_path, terminal=True)
    table, seen = view._table, []
    monkeypatch.setattr(view, "_table", lambda: (seen.append((sys.stdout, sys.stderr)), table())[1])
    before = (sys.stdout, sys.stderr)
    with view:
        pass
    assert set(seen) == {before}, "what the view's thread sees while the table is live"
    assert (sys.stdout, sys.stderr) == before


def test_a_half_written_progress_file_is_passed_over(store: Store, tmp_path: Path) -> None:
    folder = tmp_path / "steps" / "curate" / ("k" * 16)
    folder.mkdir(parents=True)
    (folder / "progress.json").write_text('{"label": "fi')
    store.update_step("run", "curate", state="running")
    view, text = view_of(store, tmp_path, terminal=False)
    with view:
        pass
    assert "curate        running" in text.getvalue()
