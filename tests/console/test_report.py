"""The ending of a run: page and summary, however early it ended."""

from pathlib import Path
from typing import Any

import pytest

from nava.artifacts.gate_verdict import GateVerdict, RuleResult, write_verdict
from nava.console.report import ending_lines, write_report
from nava.console.run_start import RunRequest, start_run
from nava.runtime.handle import Handle
from nava.runtime.storage import read_json
from nava.runtime.store import Store, utc_now

STEPS: dict[str, list[str]] = {"ingest": [], "curate": ["ingest"], "validate": ["curate"], "train_stage1": ["validate"]}


class Recorded:
    """A run whose steps recorded what a test wants."""

    def __init__(self, root: Path) -> None:
        request = RunRequest(workspace=str(root))
        reference = start_run(request)
        self.run_id, self.run_dir = request.run_id, Path(reference.run_dir)
        self.store = Store(reference.store_url)
        self.store.plan_steps(self.run_id, STEPS)

    def step(self, name: str, state: str, **values: Any) -> None:
        log = str(self.run_dir / "logs" / self.run_id / f"{name}.log")
        times = {"started_at": utc_now(), "ended_at": utc_now(), "seconds": 1.5, "log_path": log}
        self.store.update_step(self.run_id, name, state=state, **times, **values)

    def report(self) -> tuple[dict[str, Any], str]:
        write_report(self.run_dir, self.run_id)
        return read_json(self.run_dir / "summary.json"), (self.run_dir / "index.html").read_text()


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path)


def test_a_fault_is_named_with_its_step_and_log(recorded: Recorded) -> None:
    recorded.step("ingest", "succeeded")
    recorded.step("curate", "failed", error={"type": "OSError", "message": "disk <full>", "exit_code": 1})
    summary, page = recorded.report()
    assert summary["state"] == "failed"
    assert summary["failure"]["step"] == "curate"
    assert summary["failure"]["message"] == "disk <full>"
    assert summary["failure"]["exit_code"] == 1
    assert [step["state"] for step in summary["steps"]] == ["succeeded", "failed", "pending", "pending"]
    assert summary["model_version"] is None
    assert summary["clips"] == []
    assert "disk &lt;full&gt;" in page
    assert "disk <full>" not in page
    lines = "\n".join(ending_lines(recorded.run_dir))
    assert "curate: disk <full>" in lines
    assert "curate.log" in lines
    assert "index.html" in lines


def test_a_gate_that_said_no_shows_rule_and_records(recorded: Recorded, tmp_path: Path) -> None:
    rule = RuleResult("clips last 49 frames", False, observed=2, expected=0, offending=["clip-a", "clip-b"])
    verdict = write_verdict(tmp_path / "verdict", GateVerdict("clips", False, [rule]))
    error = {"type": "GateFailed", "message": "clips last 49 frames", "exit_code": 3}
    recorded.step("validate", "gate_failed", error=error, handle=verdict.to_dict())
    summary, page = recorded.report()
    assert summary["state"] == "gate_failed"
    assert "clips last 49 frames" in page
    assert "clip-a" in page
    assert "clip-b" in page


def test_a_run_that_was_cut_off_did_not_succeed(recorded: Recorded) -> None:
    recorded.step("ingest", "succeeded")
    summary, _ = recorded.report()
    assert summary["state"] == "failed"
    assert summary["failure"] is None


def test_a_step_whose_process_died_failed(recorded: Recorded) -> None:
    recorded.step("ingest", "succeeded")
    recorded.store.update_step(recorded.run_id, "curate", state="running", started_at=utc_now())
    summary, page = recorded.report()
    assert [step["state"] for step in summary["steps"]] == ["succeeded", "failed", "pending", "pending"]
    assert summary["failure"]["step"] == "curate"
    assert summary["failure"]["exit_code"] == 1
    assert "killed, or out of memory" in page
    row = recorded.store.steps(recorded.run_id)[1]
    assert row.error is not None
    assert row.error["type"] == "ProcessDied"
    assert row.ended_at is not None


def test_the_run_is_recorded_as_ended(recorded: Recorded) -> None:
    for name in STEPS:
        recorded.step(name, "succeeded")
    summary, _ = recorded.report()
    run = recorded.store.run(recorded.run_id)
    assert summary["state"] == "succeeded"
    assert run is not None
    assert run.state == "succeeded"
    assert run.ended_at is not None


def test_a_run_that_never_started_has_no_report(tmp_path: Path) -> None:
    write_report(tmp_path, "unknown")
    assert list(tmp_path.iterdir()) == []
    assert "before anything could be reported" in ending_lines(tmp_path)[0]


def test_an_ablation_leaves_the_life_cycles_page_alone_and_links_the_comparison(tmp_path: Path) -> None:
    request = RunRequest(workspace=str(tmp_path), pipeline="ablation")
    reference = start_run(request)
    run_dir, store = Path(reference.run_dir), Store(reference.store_url)
    made = run_dir / "steps" / "compare" / "k" / "ablation"
    made.mkdir(parents=True)
    (made / "index.html").write_text("page")
    (run_dir / "index.html").write_text("the life cycle's")
    store.plan_steps(request.run_id, {"compare": []})
    handle = Handle("ablation", str(made), "0" * 64, {"page": "index.html"})
    store.update_step(request.run_id, "compare", state="succeeded", started_at=utc_now(), handle=handle.to_dict())
    write_report(run_dir, request.run_id)
    assert (run_dir / "index.html").read_text() == "the life cycle's"
    page = (run_dir / "ablation.html").read_text()
    assert "NAVA architecture ablation: demo" in page
    assert "The whole architecture ablation is done" in page
    assert 'href="steps/compare/k/ablation/index.html"' in page
    assert 'id="registry"' not in page
    summary = read_json(run_dir / "ablation.json")
    assert summary["pages"] == [{"label": "page of compare", "href": "steps/compare/k/ablation/index.html"}]
    lines = ending_lines(run_dir, "ablation")
    assert any(line.startswith("page of compare: ") and line.endswith("ablation/index.html") for line in lines)
    assert lines[-1].endswith("ablation.html")
    assert ".venv/bin/nava pipeline run ablation" in page
