"""The pipeline steps `train-stage1` to `train-stage3`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.step import Step

if TYPE_CHECKING:
    from nava.config.launch import LaunchConfig
    from nava.training.job_file import TrainingJob


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
    from nava.config.launch import LaunchConfig
    from nava.runtime.storage import read_json
    from nava.training.stage import VALIDATION_FILE

    shards.require("latent_shards")
    job = _job(step, stage, shards, previous.require("checkpoint") if previous else None)
    launch = step.section(LaunchConfig)
    if launch.target == "processes" and launch.nodes * launch.processes_per_node == 1:
        folder = _train_here(step, job)
    else:
        folder = _train_there(step, job, launch)
    validation = read_json(folder / VALIDATION_FILE)
    return Handle.of_path(
        "checkpoint",
        folder,
        stage=stage,
        steps=job.length,
        first_validation_loss=validation["first"]["total"],
        last_validation_loss=validation["last"]["total"],
    )


def _job(step: Step, stage: int, shards: Handle, previous: Handle | None) -> TrainingJob:
    """The stage as a job. Samples on the way are made with the defaults: no other setting decides the result."""
    from dataclasses import asdict

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
    from nava.training.job_file import TrainingJob

    read = (TrainingConfig, ModelConfig, DiffusionConfig, LoaderConfig, ClusterConfig, TrackingConfig)
    names = ("training", "model", "diffusion", "loader", "cluster", "tracking")
    sections: dict[str, Any] = {name: step.section(kind) for name, kind in zip(names, read, strict=True)}
    others: dict[str, Any] = {"generation": GenerationConfig(), "latents": LatentsConfig()}
    return TrainingJob(
        recipe=step.name,
        stage=stage,
        seed=step.seed,
        config={name: asdict(section) for name, section in (sections | others).items()},
        identity={name: identity_values(sections[name]) for name in names[:4]},
        shards=shards.uri if is_remote(shards.uri) else str(shards.path),
        previous=str(previous.path) if previous else "",
        init="",
        inputs={"shards": shards.sha256, "previous": previous.sha256 if previous else ""},
        steps=None,
        workdir=str(step.workdir),
    )


def _train_here(step: Step, job: TrainingJob) -> Path:
    from nava.training.stage import run_stage
    from nava.training.worker import stage_job

    return run_stage(stage_job(job, step.progress, step.log))


def _train_there(step: Step, job: TrainingJob, launch: LaunchConfig) -> Path:
    """On the processes of a launcher; what failed is in its message, what it printed in this step's log."""
    from nava.training.job_launch import launch_job
    from nava.training.run_folder import RESULT_FOLDER

    launch_job(job, launch, step.name, step.key)
    result = step.workdir / RESULT_FOLDER
    if not result.is_dir():
        raise InputError(
            f"the training of {step.name} is complete, but {result} is not there: the volume is not shared with this "
            "step, or an earlier job of that name left nothing; delete the TrainJob and run again"
        )
    return result
