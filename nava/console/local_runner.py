"""Runs a pipeline on this machine with kfp.local: each task a subprocess, each step recording itself in the store."""

import contextlib
import fcntl
import os
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nava.config.source import SourceConfig
from nava.console.local_loops import own_inputs
from nava.console.pipeline_ir import compile_pipeline, from_repository, load_pipeline, planned_steps
from nava.console.recorded_run import STOPPED
from nava.console.report import ending_lines, summary_file, write_report
from nava.console.run_start import RunRequest, run_folder, start_run
from nava.console.run_view import RunView
from nava.data.sources.scan import probe_sources
from nava.runtime.errors import EXIT_DONE, EXIT_FAILED, EXIT_INTERRUPTED, InputError, NavaError
from nava.runtime.step import INTERRUPTED, RunReference, typed_section
from nava.runtime.storage import read_json
from nava.runtime.store import Store

KFP_LOG = "kfp.log"
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
    """Run a pipeline here and return the exit code.

    Args:
        request: what to run.

    Raises:
        InputError: the request is wrong, or the workspace cannot be written; nothing has been written then. Or
            another run is in progress in the same folder.
        NavaError: something else went wrong; the run is recorded as failed, and the message says where to look.
    """
    source = typed_section(SourceConfig, request.resolve().config["source"])
    run_dir = run_folder(request.recipe, request.workspace, request.name)
    probe_sources(source)
    with _run_lock(run_dir):
        spec = compile_pipeline(request.pipeline, run_dir / "pipeline.yaml")
        reference = start_run(request)
        store = Store(reference.store_url)
        try:
            store.plan_steps(reference.run_id, planned_steps(spec))
            # A step that wants more threads says so in its configuration.
            os.environ.update({**TELEMETRY_OFF, "OMP_NUM_THREADS": "1"})
            with RunView(store, reference.run_id, run_dir):
                _run_pipeline(request, run_dir)
            return _conclude(store, reference)
        except KeyboardInterrupt:
            _end_early(store, reference, "interrupted", INTERRUPTED)
            return EXIT_INTERRUPTED
        except Exception as error:
            log = _kfp_log(run_dir, reference.run_id)
            with log.open("a") as file:
                traceback.print_exc(file=file)
            message = f"{type(error).__name__}: {error}"
            record = {"type": type(error).__name__, "message": message, "exit_code": EXIT_FAILED}
            _end_early(store, reference, "failed", record)
            raise NavaError(f"the run failed unexpectedly: {message}; log: {from_repository(log)}") from error


@contextlib.contextmanager
def _run_lock(run_dir: Path) -> Iterator[None]:
    """One run at a time in a folder; the lock goes with this process, however it ends."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        file = (run_dir / ".run.lock").open("a")
    except OSError as error:
        raise InputError(f"{run_dir} cannot be written ({error.strerror}); choose another --workspace") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"a run is in progress in {run_dir}; wait for it, or give this one a --name") from error
        yield


def _end_early(store: Store, reference: RunReference, state: str, error: dict[str, Any]) -> None:
    """Record a run that did not come to its end, and write its page as far as that is possible."""
    run_dir = Path(reference.run_dir)
    store.end_running_steps(reference.run_id, state, error)
    try:
        write_report(run_dir, reference.run_id)
    except Exception:
        with _kfp_log(run_dir, reference.run_id).open("a") as file:
            traceback.print_exc(file=file)
    store.end_run(reference.run_id, state, error)


def _kfp_log(run_dir: Path, run_id: str) -> Path:
    log = run_dir / "logs" / run_id / KFP_LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    return log


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
    pipeline = load_pipeline(request.pipeline)
    # Not every pipeline has a model to promote.
    form = pipeline.pipeline_spec.root.input_definitions.parameters
    log = _kfp_log(run_dir, request.run_id)
    with log.open("w", buffering=1) as file, contextlib.redirect_stdout(file), contextlib.redirect_stderr(file):
        warnings.simplefilter("ignore")
        runner = local.SubprocessRunner(use_venv=False)
        local.init(runner, pipeline_root=str(run_dir / "kfp"), raise_on_error=False, enable_caching=False)
        try:
            with own_inputs():
                pipeline(**{name: value for name, value in arguments.items() if name in form})
        except Exception:
            # kfp.local gave up before its exit task: the run still ends on a page, and this on the log.
            traceback.print_exc(file=file)
            write_report(run_dir, request.run_id)


def _conclude(store: Store, reference: RunReference) -> int:
    """The run's exit code, from what its steps recorded; an unfinished run without a failed step is a failure."""
    failed = [step for step in store.steps(reference.run_id) if step.state in STOPPED]
    if failed:
        return int((failed[0].error or {}).get("exit_code", EXIT_FAILED))
    run = store.run(reference.run_id)
    return EXIT_DONE if run is not None and run.state == "succeeded" else EXIT_FAILED


def ending(request: RunRequest) -> list[str]:
    """What the run says at its end; where the page could not be written, where to look for the reason."""
    run_dir = run_folder(request.recipe, request.workspace, request.name)
    summary = run_dir / summary_file(request.pipeline)
    if not summary.is_file() or read_json(summary)["run_id"] != request.run_id:
        log = _kfp_log(run_dir, request.run_id)
        return [f"the page of this run could not be written; see the end of {from_repository(log)}"]
    return ending_lines(run_dir, request.pipeline)
