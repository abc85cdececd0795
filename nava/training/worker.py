"""One process of training: `python -m nava.training.worker JOB.json`, started by a launcher on every rank.

Exit codes as those of `nava`: 0 done, 1 failed, 2 wrong input or setting, 4 diverged, 143 told to stop and saved. The
last line on stderr says why.
"""

from __future__ import annotations

import fcntl
import os
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from nava.runtime.errors import NavaError, UnavailableError
from nava.runtime.progress import Progress
from nava.training.curves import CurveRow
from nava.training.failures import explained
from nava.training.job_file import TrainingJob, read_job
from nava.training.run_folder import FAILED, FINISHED, RUNNING, STOPPED, heartbeat, write_state

ERROR_FILE = "error-rank{rank}.txt"
LEADER_LOCK = ".leader-lock"
_USAGE = 2
_LOOK_S = 0.2
_PATIENCE_S = 30.0
ReportRows = Callable[[Iterator[CurveRow], int, str], Iterator[CurveRow]]


def train(job: TrainingJob, progress: ReportRows, log: Callable[[str], None]) -> Path:
    """Train as told, in this process, which may be one of several; returns the result's folder.

    The first process keeps the run's state file and heartbeat, and logs to MLflow if `tracking.uri` says where.

    Raises:
        NavaError: whatever went wrong, in one line; the whole story of what is no NavaError is in `error-rank*.txt`.
    """
    folder, rank = Path(job.workdir), int(os.environ.get("RANK", "0"))
    try:
        with ExitStack() as stack:
            if rank == 0:
                _leads(job, folder, log, stack)
            from nava.training.stage import run_stage

            result = run_stage(stage_job(job, progress, log))
    except Exception as error:
        told = explained(error)
        # What cannot be written, on a full disk for one, must not hide why.
        with suppress(OSError):
            if told is not error:
                (folder / ERROR_FILE.format(rank=rank)).write_text(traceback.format_exc())
            if rank == 0:
                state = STOPPED if told.state == "interrupted" else FAILED
                write_state(folder, state, error=str(told), exit_code=told.exit_code)
        raise told from error
    if rank == 0:
        write_state(folder, FINISHED, error="", exit_code=0)
    return result


def _leads(job: TrainingJob, folder: Path, log: Callable[[str], None], stack: ExitStack) -> None:
    patience_s = float(job.config["training"]["guard"]["grace_period_s"]) + _PATIENCE_S
    stack.enter_context(_only_leader(folder, patience_s, log))
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    write_state(folder, RUNNING, pid=os.getpid(), host=socket.gethostname(), processes=processes)
    stack.enter_context(heartbeat(folder))
    if job.config["tracking"]["uri"]:
        from nava.config.tracking import TrackingConfig
        from nava.training.mlflow_mirror import mirrored

        stack.enter_context(mirrored(folder, TrackingConfig(**job.config["tracking"]), log))


@contextmanager
def _only_leader(folder: Path, patience_s: float, log: Callable[[str], None]) -> Iterator[None]:
    """Processes of an earlier run, whose launcher was killed, may still be ending: wait for them.

    Raises:
        UnavailableError: they do not end.
    """
    end = time.monotonic() + patience_s
    with (folder / LEADER_LOCK).open("w") as file:
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    log(f"waiting for an earlier run in {folder} to end")
                told = True
                if time.monotonic() > end:
                    raise UnavailableError(f"an earlier run is still at work in {folder}; end its processes") from None
                time.sleep(_LOOK_S)
        yield


def stage_job(job: TrainingJob, progress: ReportRows, log: Callable[[str], None]) -> Any:
    """The stage of a job.

    Raises:
        InputError: the shards are not there, or a setting is wrong.
    """
    from nava.config.cluster import ClusterConfig
    from nava.config.diffusion import DiffusionConfig
    from nava.config.generation import GenerationConfig
    from nava.config.latents import LatentsConfig
    from nava.config.loader import LoaderConfig
    from nava.config.model import ModelConfig
    from nava.config.training import TrainingConfig
    from nava.data.loader.cache import ShardCache
    from nava.data.shards import LatentShards
    from nava.runtime.step import typed_section
    from nava.training.samples import Sampling
    from nava.training.stage import StageJob

    config = job.config
    model = typed_section(ModelConfig, config["model"])
    training, loader = typed_section(TrainingConfig, config["training"]), typed_section(LoaderConfig, config["loader"])
    latents, cluster = typed_section(LatentsConfig, config["latents"]), typed_section(ClusterConfig, config["cluster"])
    shards = LatentShards(job.shards, ShardCache.of(loader))
    return StageJob(
        stage=job.stage,
        seed=job.seed,
        training=training,
        # A tuple in the schema, a list after JSON.
        model=replace(model, patch_size=(model.patch_size[0], model.patch_size[1], model.patch_size[2])),
        diffusion=typed_section(DiffusionConfig, config["diffusion"]),
        loader=loader,
        shards=shards,
        previous=Path(job.previous) if job.previous else None,
        inputs=job.inputs,
        workdir=Path(job.workdir),
        progress=progress,
        log=log,
        steps=job.steps,
        init=Path(job.init) if job.init else None,
        sampling=Sampling(
            shards.codec_folder,
            typed_section(GenerationConfig, config["generation"]),
            latents.video.weights,
            latents.audio.weights,
        ),
        peak_tflops=cluster.peak_bf16_tflops if training.precision == "bf16" else cluster.peak_fp32_tflops,
    )


def say(text: str) -> None:
    """A plain line that is not held back."""
    print(text, flush=True)


def main(arguments: list[str]) -> int:
    """Train as the job file says; returns the exit code."""
    if len(arguments) != 1:
        print("nava: python -m nava.training.worker JOB.json", file=sys.stderr)
        return _USAGE
    # Deprecations between libraries are no news to whoever trains.
    warnings.filterwarnings("ignore", category=FutureWarning, module="torch")
    try:
        train(read_job(Path(arguments[0])), Progress(), say)
    except NavaError as error:
        print(f"nava: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    # What a collective that failed left behind may hang when the interpreter cleans up.
    try:
        code = main(sys.argv[1:])
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
