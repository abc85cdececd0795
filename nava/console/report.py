"""The ending of a run: a page for people and a summary for machines, from what the steps recorded."""

import shlex
from datetime import datetime
from pathlib import Path

from nava.console import page_facts as facts
from nava.console.pipeline_ir import from_repository
from nava.console.recorded_run import RecordedRun
from nava.console.run_start import store_url
from nava.pages.run_page import write_run_page
from nava.pages.run_summary import write_run_summary
from nava.runtime.errors import EXIT_FAILED
from nava.runtime.storage import read_json
from nava.runtime.store import Store, utc_now

PROCESS_DIED = {
    "type": "ProcessDied",
    "message": "the process of this step ended without a word: killed, or out of memory",
    "exit_code": EXIT_FAILED,
}


def page_file(pipeline: str) -> str:
    """The page of a pipeline's latest run. Pipelines share a folder for what they have in common, not their pages."""
    return "index.html" if pipeline == "lifecycle" else f"{pipeline}.html"


def summary_file(pipeline: str) -> str:
    """The same for machines."""
    return "summary.json" if pipeline == "lifecycle" else f"{pipeline}.json"


def write_report(run_dir: Path, run_id: str) -> None:
    """Write the page and the summary of a run and record how it ended; a run that never started has neither."""
    if not (run_dir / "store.db").is_file():
        return
    store = Store(store_url(run_dir))
    row = store.run(run_id)
    if row is None:
        return
    # The report comes last: a step that still calls itself running has no process any more.
    store.end_running_steps(run_id, "failed", PROCESS_DIED)
    run = RecordedRun(run_dir, row, store.steps(run_id))
    page = facts.run_page(run, _seconds_since(row.started_at))
    write_run_summary(run_dir / summary_file(row.pipeline), page)
    write_run_page(run_dir / page_file(row.pipeline), page)
    store.end_run(run_id, run.state, run.failed_step.error if run.failed_step else None)


def _seconds_since(started_at: str) -> float:
    started, now = datetime.fromisoformat(started_at), datetime.fromisoformat(utc_now())
    return round((now - started).total_seconds(), 1)


def ending_lines(run_dir: Path, pipeline: str = "lifecycle") -> list[str]:
    """What a run says at its end: how it ended, why, what it made, and what to do next."""
    path = run_dir / summary_file(pipeline)
    if not path.is_file():
        return [f"the run ended before anything could be reported; logs: {from_repository(run_dir / 'logs')}"]
    value = read_json(path)
    lines = [f"{value['run']}: {value['state']} in {value['seconds']:.0f} s"]
    if failed := value["failure"]:
        lines += [f"{failed['step']}: {failed['message']}", failed["remedy"]]
        lines.append(f"log: {from_repository(run_dir / failed['log_href'])}")
    if version := value["model_version"]:
        lines.append(
            f"model {version['name']} version {version['version']} ({', '.join(version['aliases']) or 'no alias'})"
        )
        if "champion" in version["aliases"]:
            serve = [".venv/bin/nava", "serve", "--run-dir", from_repository(run_dir)]
            lines.append(f"serve it: {shlex.join(serve)}")
    lines += [f"{made['label']}: {from_repository(run_dir / made['href'])}" for made in value.get("pages", [])]
    return [*lines, f"page: {from_repository(run_dir / page_file(pipeline))}"]
