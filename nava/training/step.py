"""The pipeline steps `train-stage1` to `train-stage3`."""

from nava.runtime.errors import InputError
from nava.runtime.handle import Handle
from nava.runtime.step import Step


def train(step: Step, shards: Handle, previous: Handle | None = None, *, stage: int) -> Handle:
    """Train one stage on latent shards, from the result of the stage before.

    Reads the sections `training`, `model`, `diffusion` and `loader`.

    Args:
        step: the step.
        shards: handle of kind `latent_shards`.
        previous: the checkpoint of the stage before; None for stage 1.
        stage: 1, 2 or 3.

    Raises:
        InputError: a setting is wrong, the stage before is missing, or the corpus lacks a modality.
        NonFiniteLossError, TrainingStoppedError: see `nava.training.trainer`.
    """
    stage = int(stage)
    if stage not in (1, 2, 3):
        raise InputError(f"training has stages 1, 2 and 3; there is no stage {stage}")
    if (previous is None) != (stage == 1):
        wanted = "starts from a new model" if stage == 1 else f"needs the checkpoint of stage {stage - 1}"
        raise InputError(f"training stage {stage} {wanted}")
    from nava.config.diffusion import DiffusionConfig
    from nava.config.loader import LoaderConfig
    from nava.config.model import ModelConfig
    from nava.config.training import TrainingConfig
    from nava.data.loader.cache import ShardCache
    from nava.data.shard_set import is_remote
    from nava.data.shards import LatentShards
    from nava.runtime.storage import read_json
    from nava.training.samples import Sampling
    from nava.training.stage import VALIDATION_FILE, StageJob, run_stage

    inputs = {"shards": shards.sha256, "previous": previous.sha256 if previous else ""}
    loader = step.section(LoaderConfig)
    shards.require("latent_shards")
    source = LatentShards(shards.uri if is_remote(shards.uri) else shards.path, ShardCache.of(loader))
    job = StageJob(
        stage=stage,
        seed=step.seed,
        training=step.section(TrainingConfig),
        model=step.section(ModelConfig),
        diffusion=step.section(DiffusionConfig),
        loader=loader,
        shards=source,
        previous=previous.require("checkpoint").path if previous else None,
        inputs=inputs,
        workdir=step.workdir,
        progress=step.progress,
        log=step.log,
        sampling=Sampling(source.codec_folder),
    )
    folder = run_stage(job)
    validation = read_json(folder / VALIDATION_FILE)
    return Handle.of_path(
        "checkpoint",
        folder,
        stage=stage,
        steps=job.training.stages()[stage - 1].steps,
        first_validation_loss=validation["first"]["total"],
        last_validation_loss=validation["last"]["total"],
    )
