"""What `nava train run` does: the job file, the folder it works in, the processes, and how it ends."""

from __future__ import annotations

import fcntl
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from nava.runtime.errors import EXIT_FAILED, EXIT_INTERRUPTED, InputError, NavaError
from nava.training.run_folder import JOB_FILE, result_of

if TYPE_CHECKING:
    from nava.config.launch import LaunchConfig
    from nava.training.job_file import TrainingJob

Say = Callable[[str], None]
# What an earlier run of another configuration left, which had not come to a checkpoint.
_STALE = ("events.jsonl", "metrics.jsonl", "validation_first.json", "mlflow.json", "state.json")


@dataclass(frozen=True)
class TrainRequest:
    """What the command line asks for; see the options of `nava train run`."""

    recipe: str
    stage: int
    data: str
    out: Path
    init: Path | None = None
    max_steps: int | None = None
    nproc: int | None = None
    overrides: tuple[str, ...] = ()


class InterruptedTrainingError(NavaError):
    """Ctrl-C."""

    exit_code = EXIT_INTERRUPTED


def run_training(request: TrainRequest, say: Say) -> None:
    """Train as asked, going on where an earlier run in the same folder stopped.

    Raises:
        InputError: something asked for cannot be, or the folder holds another run.
        NavaError: training failed or was told to stop; the run's state file says the same.
    """
    job, launch = prepared_job(request)
    folder = Path(job.workdir)
    _make(folder, job)
    with _place_in(folder, launch) as machine:
        say(_opening(job, launch, machine))
        if machine:
            # Another machine came first: it looks after the folder, and writes what the processes of all are told.
            _train(job, launch, say, machine)
            return
        _require_same_run(folder, job)
        job.write(folder / JOB_FILE)
        _write_records(folder, job)
        try:
            _train(job, launch, say)
        finally:
            _finish(folder, job, say)


def _make(folder: Path, job: TrainingJob) -> None:
    from nava.console.output_paths import require_writable
    from nava.data.shard_set import is_remote

    require_writable(folder / JOB_FILE)
    if not is_remote(job.shards) and folder.is_relative_to(job.shards):
        raise InputError(f"--out {folder} lies in the latent shards of --data; give the run a folder of its own")
    folder.mkdir(parents=True, exist_ok=True)


def prepared_job(request: TrainRequest) -> tuple[TrainingJob, LaunchConfig]:
    """What is to be trained, and on which processes.

    Raises:
        InputError: see `run_training`.
    """
    from nava.config.composition import compose
    from nava.training.job_launch import recipe_job

    overrides = list(request.overrides)
    if request.nproc is not None:
        overrides += [f"launch.processes_per_node={request.nproc}", "launch.nodes=1", "launch.target=processes"]
    resolved = compose(request.recipe, overrides)
    previous, init, start_hash = _start(request)
    location, shards_hash = _shards(request.data, resolved.config)
    return recipe_job(
        request.recipe,
        resolved,
        stage=request.stage,
        shards=location,
        workdir=str(request.out.resolve()),
        inputs={"shards": shards_hash, "previous": start_hash},
        previous=previous,
        init=init,
        steps=request.max_steps,
    )


def _shards(data: str, config: dict[str, Any]) -> tuple[str, str]:
    """Where the shards are, and what tells two sets apart: their index has the hash of each."""
    from nava.artifacts.latent_shard import INDEX_FILE, read_index
    from nava.config.loader import LoaderConfig
    from nava.data.loader.cache import ShardCache
    from nava.data.shard_set import fetched_set, is_remote
    from nava.runtime.hashing import sha256_file
    from nava.runtime.step import typed_section

    if is_remote(data):
        folder = fetched_set(data, ShardCache.of(typed_section(LoaderConfig, config["loader"])).folder)
        return data, sha256_file(folder / INDEX_FILE)
    folder = Path(data.removeprefix("file://")).expanduser().resolve()
    if not (folder / INDEX_FILE).is_file():
        raise InputError(
            f"--data {data}: no latent shards there, {INDEX_FILE} is missing; `nava data encode` makes them"
        )
    missing = [name for name in sorted({entry.shard for entry in read_index(folder)}) if not (folder / name).is_file()]
    if missing:
        raise InputError(f"--data {data} lacks {len(missing)} shard(s), the first is {missing[0]}; copy them again")
    return str(folder), sha256_file(folder / INDEX_FILE)


def _start(request: TrainRequest) -> tuple[str, str, str]:
    """(result of the stage before, other weights, hash) of what `--init` names; one of the first two is empty."""
    from nava.artifacts.checkpoint import MANIFEST_FILE, read_manifest
    from nava.runtime.hashing import sha256_file

    if request.init is None:
        return "", "", ""
    place = result_of(request.init.expanduser().resolve())
    if (place / MANIFEST_FILE).is_file() and read_manifest(place).stage == request.stage - 1:
        return str(place), "", sha256_file(place / MANIFEST_FILE)
    from nava.training.start import init_sha256

    return "", str(place), init_sha256(place)


@contextmanager
def _place_in(folder: Path, launch: LaunchConfig) -> Iterator[int]:
    """One run at a time works in a folder; the locks go with the process, however it ends.

    Where several machines each run the command (`launch.rendezvous`) they share it, and each has a number: in the
    order in which they came, the first is 0.
    """
    machines = launch.nodes if launch.target == "processes" and launch.rendezvous else 1
    for machine in range(machines):
        with (folder / (f".lock-{machine}" if machine else ".lock")).open("w") as file:
            if _locked(file):
                yield machine
                return
    others = "another `nava train run` works" if machines == 1 else f"all {machines} machines of a run work"
    raise InputError(f"{others} in {folder}; wait for it, or use another --out")


def _locked(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _require_same_run(folder: Path, job: TrainingJob) -> None:
    """Refuse a folder that holds checkpoints of different work; take away what is left of work that had none."""
    from nava.artifacts.checkpoint import complete_folders
    from nava.training.job_file import first_difference, read_job
    from nava.training.run_folder import CHECKPOINTS, RESULT_FOLDER, SAMPLES

    if not (folder / JOB_FILE).is_file():
        return
    difference = first_difference(read_job(folder / JOB_FILE), job)
    checkpoints = complete_folders(folder / CHECKPOINTS)
    if not difference:
        _require_not_longer(folder, checkpoints, job)
        return
    if checkpoints or (folder / RESULT_FOLDER).exists():
        raise InputError(f"{folder} holds another run: {difference}; use another --out, or remove that folder")
    for name in _STALE:
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / SAMPLES, ignore_errors=True)


def _require_not_longer(folder: Path, checkpoints: list[Path], job: TrainingJob) -> None:
    from nava.artifacts.checkpoint import CheckpointDamagedError, read_manifest

    try:
        done = read_manifest(checkpoints[0]).step if checkpoints else 0
    except CheckpointDamagedError:
        # Training looks for the newest that is whole.
        return
    if done > job.length:
        raise InputError(
            f"{folder} has {done} steps already, more than the {job.length} asked for: ask for at least {done}, or use "
            "another --out"
        )


def _write_records(folder: Path, job: TrainingJob) -> None:
    """The resolved configuration, and what else decided the result: code, data, libraries, machine."""
    from nava.artifacts.run_record import RunRecord, write_run_record
    from nava.registry.provenance import git_state, hardware, library_versions
    from nava.runtime.hashing import sha256_json
    from nava.runtime.project import package_root
    from nava.runtime.storage import write_json
    from nava.training.run_folder import CONFIG_FILE, RECORD_FILE

    write_json(folder / CONFIG_FILE, job.config)
    sha, dirty = git_state(package_root())
    record = RunRecord(
        git_sha=sha,
        git_dirty=dirty,
        data_sha256=None,
        shards_sha256=job.inputs["shards"],
        checkpoint_sha256=None,
        evaluation_sha256=None,
        config_sha256=sha256_json(job.config),
        config=job.config,
        image_digests=None,
        seed=job.seed,
        python=platform.python_version(),
        libraries=library_versions(),
        hardware=hardware(),
        cost={},
    )
    write_run_record(folder / RECORD_FILE, record)


def _opening(job: TrainingJob, launch: LaunchConfig, machine: int) -> str:
    processes = launch.nodes * launch.processes_per_node
    where = "this machine"
    if launch.target == "kubernetes":
        where = f"TrainJob in namespace {launch.kubernetes.namespace}"
    elif launch.rendezvous:
        where = f"{launch.nodes} machines, of which this is number {machine}"
    start = job.previous or job.init or "a new model"
    return (
        f"stage {job.stage} of recipe {job.recipe}: {job.length} steps from {start}; "
        f"{processes} process(es) on {where}; {job.workdir}"
    )


def _train(job: TrainingJob, launch: LaunchConfig, say: Say, machine: int = 0) -> None:
    from nava.training.interruption import TrainingStoppedError
    from nava.training.run_folder import FAILED, STOPPED, read_state, write_state

    folder = Path(job.workdir)
    try:
        if launch.target == "processes" and launch.nodes * launch.processes_per_node == 1:
            from nava.runtime.progress import Progress
            from nava.training.worker import train

            train(job, Progress(bar=sys.stderr.isatty()), say)
        else:
            from nava.training.job_launch import launch_job, stage_name

            launch_job(job, launch, stage_name(job), machine)
    except KeyboardInterrupt as error:
        text = "interrupted (Ctrl-C); the same command goes on from the last checkpoint"
        if machine == 0:
            write_state(folder, STOPPED, error=text, exit_code=EXIT_INTERRUPTED)
        raise InterruptedTrainingError(text) from error
    except NavaError as error:
        told = read_state(folder)
        if error.state == "interrupted" and told is not None and told.state == STOPPED and told.error:
            # The process that leads knows how much is saved; the launcher that it stopped it.
            raise TrainingStoppedError(told.error) from error
        # The processes may have had no time to say so, or not have known why.
        state = STOPPED if error.state == "interrupted" else FAILED
        if machine == 0:
            write_state(folder, state, error=str(error), exit_code=error.exit_code or EXIT_FAILED)
        raise


def _finish(folder: Path, job: TrainingJob, say: Say) -> None:
    """The page, and what was made and what comes next; a page that cannot be drawn does not hide how training ended."""
    from nava.console.train_page import write_training_page
    from nava.runtime.storage import read_json
    from nava.training.run_folder import FINISHED, RESULT_FOLDER, read_state

    page = ""
    try:
        page = f"{write_training_page(folder)}: curves, events, samples"
    except (OSError, NavaError, ValueError, KeyError) as error:
        say(f"warning: the page could not be written: {error}")
    state = read_state(folder)
    if state is not None and state.state == FINISHED:
        validation = read_json(folder / RESULT_FOLDER / "validation.json")
        first, last = validation["first"]["total"], validation["last"]["total"]
        say(f"{folder / RESULT_FOLDER}: {job.length} steps, validation loss {first:.4f} -> {last:.4f}")
        say(page)
        say(f"next: nava train export {folder} -o PACKAGE")
