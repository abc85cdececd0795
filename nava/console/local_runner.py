"""Runs a pipeline on this machine with kfp.local: each task a subprocess, each step recording itself in the store."""

import contextlib
import os
import traceback
import warnings
from pathlib import Path
from typing import Any

from nava.console.pipeline_ir import compile_pipeline, from_repository, load_pipeline, planned_steps
from nava.console.report import ending_lines, write_report
from nava.console.run_start import PIPELINE, RunRequest, run_folder, start_run, store_url
from nava.console.run_view import RunView
from nava.runtime.errors import EXIT_DONE, EXIT_FAILED
from nava.runtime.step import RunReference
from nava.runtime.store import Store

KFP_LOG = "kfp.log"
STATES_THAT_FAILED = ("failed", "gate_failed")
# Third-party libraries of the steps that would otherwise phone home.
TELEMETRY_OFF = {
    "BENTOML_DO_NOT_TRACK": "True",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "False",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def run_locally(request: RunRequest) -> int:
    """Run the life cycle here and return the exit code.

    Args:
        request: what to run.

    Raises:
        InputError: the request is wrong; nothing has been written then.
    """
    request.resolve()
    run_dir = run_folder(request.recipe, request.workspace, request.name)
    spec = compile_pipeline(PIPELINE, run_dir / "pipeline.yaml")
    reference = start_run(request)
    store = Store(reference.store_url)
    store.plan_steps(reference.run_id, planned_steps(spec))
    # A step that wants more threads says so in its configuration.
    os.environ.update({**TELEMETRY_OFF, "OMP_NUM_THREADS": "1"})
    with RunView(store, reference.run_id, run_dir):
        _run_pipeline(request, run_dir)
    return _conclude(store, reference)


def _run_pipeline(request: RunRequest, run_dir: Path) -> None:
    from kfp import local

    arguments: dict[str, Any] = {
        "recipe": request.recipe,
        "source": request.source,
        "workspace": str(run_dir.parent),
        "name": run_dir.name,
        "seed": request.seed,
        "promotion_policy": request.promotion_policy,
        "overrides": request.overrides,
        "run_id": request.run_id,
    }
    log = run_dir / "logs" / request.run_id / KFP_LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", buffering=1) as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        warnings.simplefilter("ignore")
        runner = local.SubprocessRunner(use_venv=False)
        local.init(runner, pipeline_root=str(run_dir / "kfp"), raise_on_error=False, enable_caching=False)
        try:
            load_pipeline(PIPELINE)(**arguments)
        except Exception:
            # kfp.local gave up before its exit task: the run still ends on a page, and this on the log.
            traceback.print_exc(file=file)
            write_report(run_dir, request.run_id)


def _conclude(store: Store, reference: RunReference) -> int:
    """The run's exit code, from what its steps recorded; an unfinished run without a failed step is a failure."""
    failed = [step for step in store.steps(reference.run_id) if step.state in STATES_THAT_FAILED]
    if failed:
        return int((failed[0].error or {}).get("exit_code", EXIT_FAILED))
    run = store.run(reference.run_id)
    return EXIT_DONE if run is not None and run.state == "succeeded" else EXIT_FAILED


def ending(request: RunRequest) -> list[str]:
    """What the run says at its end; where the page could not be written, where to look for the reason."""
    run_dir = run_folder(request.recipe, request.workspace, request.name)
    run = Store(store_url(run_dir)).run(request.run_id)
    if run is None or run.state == "running":
        log = run_dir / "logs" / request.run_id / KFP_LOG
        return [f"the page of this run could not be written; see the end of {from_repository(log)}"]
    return ending_lines(run_dir)
