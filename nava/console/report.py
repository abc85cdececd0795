"""The ending of a run: `index.html` for people and `summary.json` for machines, from what the steps recorded."""

import os
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from nava.console import page_facts as facts
from nava.console.pipeline_ir import project_root
from nava.console.recorded_run import RecordedRun
from nava.console.run_start import store_url
from nava.pages.run_page import write_run_page
from nava.runtime.errors import InputError
from nava.runtime.storage import read_json, write_json
from nava.runtime.store import Store, utc_now

PAGE_FILE = "index.html"
SUMMARY_FILE = "summary.json"
SCHEMA_VERSION = 1


def write_report(run_dir: Path, run_id: str) -> None:
    """Write the page and the summary of a run and record how it ended; a run that never started has neither."""
    if not (run_dir / "store.db").is_file():
        return
    store = Store(store_url(run_dir))
    row = store.run(run_id)
    if row is None:
        return
    run = RecordedRun(run_dir, row, store.steps(run_id))
    write_json(run_dir / SUMMARY_FILE, summary(run))
    write_run_page(run_dir / PAGE_FILE, facts.run_page(run, _seconds_since(row.started_at)))
    store.end_run(run_id, run.state, run.failed_step.error if run.failed_step else None)


def summary(run: RecordedRun) -> dict[str, Any]:
    """What `summary.json` holds; keys of parts that the run did not reach are empty."""
    evaluation = run.evaluation
    failed = run.failed_step
    return {
        "schema_version": SCHEMA_VERSION,
        "state": run.state,
        "run_id": run.row.run_id,
        "recipe": run.row.recipe,
        "started_at": run.row.started_at,
        "seconds": _seconds_since(run.row.started_at),
        "error": {"step": failed.name, **(failed.error or {})} if failed else None,
        "steps": [
            {
                "name": step.name,
                "state": step.state,
                "seconds": step.seconds,
                "cached": step.cached,
                "key": step.key,
                "peak_memory_mb": step.peak_memory_mb,
            }
            for step in run.steps
        ],
        "counts": run.record_counts(),
        "dropped": run.reason_counts(),
        "validation_loss": {
            name: {"first": value["first"]["total"], "last": value["last"]["total"]}
            for name, value in run.validations().items()
        },
        "metrics": {metric.name: asdict(metric) for metric in evaluation.metrics} if evaluation else {},
        "model_version": run.model_version(),
        "clips": [
            from_repository(run.evaluation_dir / clip.path)
            for clip in (evaluation.gallery if evaluation else [])
            if run.evaluation_dir is not None and clip.seed is not None
        ],
        "page": from_repository(run.run_dir / PAGE_FILE),
    }


def from_repository(path: Path) -> str:
    """A path relative to the repository (or, without one, to the current folder), for people and machines."""
    try:
        root = project_root()
    except InputError:
        root = Path.cwd()
    return os.path.relpath(path, root)


def _seconds_since(started_at: str) -> float:
    started, now = datetime.fromisoformat(started_at), datetime.fromisoformat(utc_now())
    return round((now - started).total_seconds(), 1)


def ending_lines(run_dir: Path) -> list[str]:
    """What a run says at its end: how it ended, why, what it made, and what to do next."""
    path = run_dir / SUMMARY_FILE
    if not path.is_file():
        return [f"the run ended before anything could be reported; logs: {from_repository(run_dir / 'logs')}"]
    value = read_json(path)
    lines = [f"run {value['run_id']}: {value['state']} in {value['seconds']:.0f} s"]
    if value["error"]:
        error = value["error"]
        log = run_dir / "logs" / value["run_id"] / f"{error['step']}.log"
        lines += [f"{error['step']}: {error.get('message', '')}", f"log: {from_repository(log)}"]
    if value["model_version"]:
        version = value["model_version"]
        aliases = ", ".join(version["aliases"]) or "no alias"
        lines.append(f"model {version['name']} version {version['version']} ({aliases})")
        lines.append(f"serve it: .venv/bin/nava serve --run-dir {from_repository(run_dir)}")
    return [*lines, f"page: {value['page']}"]
