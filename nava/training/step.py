"""The pipeline steps `train-stage1` to `train-stage3`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.step import Step

if TYPE_CHECKING:
    from nava.config.model import ModelConfig
    from nava.training.job_file import TrainingJob
    from nava.training.worker import ReportRows


def train(step: Step, shards: Handle, previous: Handle | None = None, *, stage: int) -> Handle:
    """Train one stage on latent shards, from the result of the stage before.

    It runs in this process, or on the processes, here or on a cluster, that `launch` asks for. Reads the sections
    `training`, `model`, `diffusion`, `loader`, `launch`, `cluster` and `tracking`.

    Args:
        step: the step.
        shards: handle of kind `latent_shards`.
        previous: the checkpoint of the stage before; None for stage 1.
        stage: 1, 2 or 3.

    Raises:
        InputError: a setting is wrong, the stage before is missing, or the corpus lacks a modality.
        NonFiniteLossError, TrainingStoppedError: see `nava.training.trainer`.
        LaunchFailedError, LaunchStoppedError: see `nava.launch.command`.
    """
    stage = int(stage)
    if stage not in (1, 2, 3):
        raise InputError(f"training has stages 1, 2 and 3; there is no stage {stage}")
    if (previous is None) != (stage == 1):
        wanted = "starts from a new model" if stage == 1 else f"needs the checkpoint of stage {stage - 1}"
        raise InputError(f"training stage {stage} {wanted}")
    from nava.config.training import TrainingConfig
    from nava.runtime.storage import read_json
    from nava.training.job_launch import require_start
    from nava.training.stage import VALIDATION_FILE

    if previous is not None:
        previous.require("checkpoint")
    require_start(step.section(TrainingConfig), stage, previous is not None)
    job = make_job(step, shards)
    job = replace(
        job,
        stage=stage,
        previous=str(previous.path) if previous else "",
        inputs={**job.inputs, "previous": previous.sha256 if previous else ""},
    )
    folder = run_job(step, job, name=step.name, progress=step.progress)
    validation = read_json(folder / VALIDATION_FILE)
    return Handle.of_path(
        "checkpoint",
        folder,
        stage=stage,
        steps=job.length,
        first_validation_loss=validation["first"]["total"],
        last_validation_loss=validation["last"]["total"],
    )


def make_job(step: Step, shards: Handle, model: ModelConfig | None = None) -> TrainingJob:
    """The first stage from a new model as a job in the step's folder.

    Samples on the way are made with the defaults: no other setting decides the result.

    Args:
        step: has the settings and the seed.
        shards: handle of kind `latent_shards`.
        model: the recipe's if not given.
    """
    from nava.config.cluster import ClusterConfig
    from nava.config.composition import identity_values
    from nava.config.diffusion import DiffusionConfig
    from nava.config.generation import GenerationConfig
    from nava.config.latents import LatentsConfig
    from nava.config.loader import LoaderConfig
    from nava.config.model import ModelConfig
    from nava.config.tracking import TrackingConfig
    from nava.config.training import TrainingConfig
    from nava.data.shard_set import is_remote
    from nava.training.job_file import SECTIONS, TrainingJob

    shards.require("latent_shards")
    sections: dict[str, Any] = {
        "training": step.section(TrainingConfig),
        "model": model or step.section(ModelConfig),
        "diffusion": step.section(DiffusionConfig),
        "loader": step.section(LoaderConfig),
        "cluster": step.section(ClusterConfig),
        "tracking": step.section(TrackingConfig),
    }
    others: dict[str, Any] = {"generation": GenerationConfig(), "latents": LatentsConfig()}
    return TrainingJob(
        recipe=step.name,
        stage=1,
        seed=step.seed,
        config={name: asdict(section) for name, section in (sections | others).items()},
        identity={name: identity_values(sections[name]) for name in SECTIONS},
        shards=shards.uri if is_remote(shards.uri) else str(shards.path),
        previous="",
        init="",
        inputs={"shards": shards.sha256},
        steps=None,
        workdir=str(step.workdir.absolute()),
    )


def run_job(step: Step, job: TrainingJob, *, name: str, progress: ReportRows) -> Path:
    """Train in this process, or on the processes, here or on a cluster, that the section `launch` asks for.

    Args:
        step: has the settings and the log.
        job: what to train.
        name: of what is launched, for people.
        progress: wraps the rows of training in this process; a launched one's are in its own log.

    Returns:
        The folder of the result.

    Raises:
        NavaError: see `nava.training.worker.train` and `nava.training.job_launch.launch_job`.
    """
    from nava.config.launch import LaunchConfig

    launch = step.section(LaunchConfig)
    if launch.target == "processes" and launch.nodes * launch.processes_per_node == 1:
        from nava.training.run_folder import JOB_FILE
        from nava.training.worker import train as train_here

        job.write(Path(job.workdir) / JOB_FILE)
        return train_here(job, progress, step.log)
    from nava.training.job_launch import launch_job

    return launch_job(job, launch, name)
