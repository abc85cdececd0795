"""A training job on the processes of a launcher, here or on a cluster."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from nava.training.run_folder import JOB_FILE

if TYPE_CHECKING:
    from nava.config.launch import LaunchConfig
    from nava.training.job_file import TrainingJob


def launch_job(job: TrainingJob, launch: LaunchConfig, name: str, key: str) -> None:
    """Write the job into its folder and run a worker of it on every rank, to the end.

    Args:
        job: what to train.
        launch: where.
        name: of what is launched, for people.
        key: the same key is the same job: where it runs already, it is waited for.

    Raises:
        InputError, LaunchFailedError, LaunchStoppedError: see `nava.launch.command.Launcher`.
    """
    from nava.launch.command import PYTHON, TrainingCommand, make_launcher

    folder = Path(job.workdir)
    job.write(folder / JOB_FILE)
    command = TrainingCommand(
        name=name,
        key=key,
        argv=(PYTHON, "-m", "nava.training.worker", str(folder / JOB_FILE)),
        workdir=folder,
        grace_period_s=float(job.config["training"]["guard"]["grace_period_s"]),
    )
    make_launcher(launch).run(command)
