"""A training job on the processes of a launcher, here or on a cluster."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from nava.runtime.errors import InputError
from nava.training.run_folder import JOB_FILE, RESULT_FOLDER

if TYPE_CHECKING:
    from nava.config.composition import ResolvedConfig
    from nava.config.launch import LaunchConfig
    from nava.config.loader import LoaderConfig
    from nava.config.training import TrainingConfig
    from nava.launch.command import TrainingCommand
    from nava.training.job_file import TrainingJob


def recipe_job(
    recipe: str,
    resolved: ResolvedConfig,
    *,
    stage: int,
    shards: str,
    workdir: str,
    inputs: dict[str, str],
    previous: str = "",
    init: str = "",
    steps: int | None = None,
) -> tuple[TrainingJob, LaunchConfig]:
    """A stage of a resolved recipe as a job, and where it is to run; see `TrainingJob` for the arguments.

    Raises:
        InputError: the recipe has no such stage, needs weights to start from, or cannot be shared by the processes.
    """
    from nava.config.launch import LaunchConfig
    from nava.config.loader import LoaderConfig
    from nava.config.training import TrainingConfig
    from nava.runtime.step import typed_section
    from nava.training.job_file import SECTIONS, TrainingJob

    launch = typed_section(LaunchConfig, resolved.config["launch"])
    training = typed_section(TrainingConfig, resolved.config["training"])
    require_start(training, stage, bool(previous or init))
    loader = typed_section(LoaderConfig, resolved.config["loader"])
    require_shareable(training, loader, launch.nodes * launch.processes_per_node)

    job = TrainingJob(
        recipe=recipe,
        stage=stage,
        seed=int(resolved.config["seed"]),
        config=resolved.config,
        identity={name: resolved.identity[name] for name in SECTIONS},
        shards=shards,
        previous=previous,
        init=init,
        inputs=inputs,
        steps=steps,
        workdir=workdir,
    )
    return job, launch


def require_start(training: TrainingConfig, stage: int, given: bool) -> None:
    """Refuse a stage that would begin with random weights where the recipe begins with trained ones.

    Args:
        training: the recipe's.
        stage: that is to be trained.
        given: whether weights to start from are.

    Raises:
        InputError: the recipe has no such stage, or it, or its adapters, need weights.
    """
    first = training.first_stage
    if stage < first:
        raise InputError(
            f"this recipe begins with stage {first} (training.first_stage), from weights that are given: "
            f"--stage {first} --init PACKAGE; it has no stage {stage}"
        )
    if not given and (training.lora.rank or stage == first > 1):
        why = "trains adapters (training.lora) on weights" if training.lora.rank else "goes on from weights"
        raise InputError(f"stage {stage} of this recipe {why}: give them with --init, a package or a run's folder")


def require_shareable(training: TrainingConfig, loader: LoaderConfig, processes: int) -> None:
    """Refuse a recipe that so many processes cannot share, before any is started.

    Raises:
        InputError: names all settings that would do.
    """
    from nava.data.loader.ranks import one_task_at_a_time

    groups, rest = divmod(processes, training.sequence_parallel)
    if rest or groups < 2:
        return  # each process says what is wrong with the first, and one has nothing to share
    per_step, run = training.micro_batches_per_step, loader.run_length
    needed = math.ceil(per_step / groups) * groups
    shared = one_task_at_a_time(needed, groups, run)
    if per_step == needed and shared:
        return
    wanted = [f"training.micro_batches_per_step={needed}"] * (per_step != needed)
    wanted += [f"loader.run_length={groups}"] * (not shared)
    clips = training.micro_batch_size * per_step
    same = f"; training.micro_batch_size={clips // needed} keeps the step at {clips} clips"
    raise InputError(
        f"{processes} processes cannot share a step of {per_step} micro-batch(es) with loader.run_length={run}: set "
        f"{' '.join(wanted)}{same if per_step != needed and clips % needed == 0 else ''}"
    )


def stage_name(job: TrainingJob) -> str:
    """What a stage is launched as, without a pipeline around it."""
    return f"train-stage{job.stage}"


def job_command(job: TrainingJob, name: str) -> TrainingCommand:
    """What every rank of a job runs: a worker that reads the job file in the job's folder.

    Args:
        job: what to train. Its key is the command's: the same work in the same place is found again where it runs.
        name: of what is launched, for people.
    """
    from nava.launch.command import PYTHON, TrainingCommand

    folder = Path(job.workdir)
    return TrainingCommand(
        name=name,
        key=job.key,
        argv=(PYTHON, "-m", "nava.training.worker", str(folder / JOB_FILE)),
        workdir=folder,
        grace_period_s=float(job.config["training"]["guard"]["grace_period_s"]),
        result=folder / RESULT_FOLDER,
    )


def launch_job(job: TrainingJob, launch: LaunchConfig, name: str, machine: int = 0) -> Path:
    """Write the job into its folder and run a worker of it on every rank, to the end.

    Args:
        job: what to train.
        launch: where.
        name: of what is launched, for people.
        machine: which of several that run the same job through `launch.rendezvous`; only the first writes the job.

    Returns:
        The folder of the result.

    Raises:
        InputError: it is complete, but the result is not there; and see `nava.launch.command.Launcher`.
        LaunchFailedError, LaunchStoppedError: see there.
    """
    from nava.launch.command import make_launcher

    command = job_command(job, name)
    if machine == 0:
        job.write(Path(job.workdir) / JOB_FILE)
    make_launcher(launch, machine).run(command)
    result = Path(job.workdir) / RESULT_FOLDER
    if not result.is_dir():
        raise InputError(
            f"the training of {name} is complete, but {result} is not there: the folder is not shared with the "
            "processes that trained; put it on a volume that all of them mount at this path"
        )
    return result
