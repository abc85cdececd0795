"""One stage from its start weights to its result: validate, train, validate, write."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nava.artifacts.checkpoint import CheckpointDamagedError, CheckpointManifest, seal, verify
from nava.config.composition import identity_values
from nava.config.diffusion import DiffusionConfig
from nava.config.loader import LoaderConfig
from nava.config.model import ModelConfig
from nava.config.training import TrainingConfig
from nava.data.loader.loader import LatentLoader
from nava.data.loader.sampler import MicroBatchSampler
from nava.data.shards import LatentSource
from nava.model.architecture import build_model
from nava.model.backbone import NavaTransformer
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import atomic_folder, read_json, write_json
from nava.training.curves import CurveRow, write_curves
from nava.training.engine import create_engine
from nava.training.micro_batches import MicroBatches
from nava.training.moving_average import MovingAverage
from nava.training.objective import Objective
from nava.training.trainer import StageTrainer
from nava.training.validation import stage_objective, synchrony_losses, validation_losses, validation_set

SCHEMA_VERSION = 1
MODEL_FILE = "model.safetensors"
TRAINING_WEIGHTS_FILE = "training_weights.safetensors"
MODEL_CONFIG_FILE = "model_config.json"
CURVES_FILE = "curves.jsonl"
VALIDATION_FILE = "validation.json"
_RESULT_FOLDER = "result"
_FIRST_FILE = "validation_first.json"


@dataclass(frozen=True)
class StageJob:
    """All that decides a stage's result, where it works, and to whom it reports.

    Attributes:
        previous: result folder of the stage before; None starts from a new model drawn from the seed.
        inputs: hashes of what the stage reads, for the checkpoints' config hash.
        progress: wraps the rows of the loop and reports.
        log: takes plain lines.
    """

    stage: int
    seed: int
    training: TrainingConfig
    model: ModelConfig
    diffusion: DiffusionConfig
    loader: LoaderConfig
    shards: LatentSource
    previous: Path | None
    inputs: dict[str, str]
    workdir: Path
    progress: Callable[[Iterator[CurveRow], int, str], Iterator[CurveRow]]
    log: Callable[[str], None]

    @property
    def config_hash(self) -> str:
        """Hash of the configuration, seed and inputs."""
        sections = {
            "training": identity_values(self.training),
            "model": asdict(self.model),
            "diffusion": asdict(self.diffusion),
            "loader": identity_values(self.loader),
        }
        return sha256_json({**sections, "stage": self.stage, "seed": self.seed, "inputs": self.inputs})


def run_stage(job: StageJob) -> Path:
    """Train one stage, going on where an earlier attempt in the same working folder stopped.

    Returns:
        The folder of the result: averaged and training weights, model configuration, curves, validation, manifest.
    """
    job.training.check()
    job.loader.check()
    threads = torch.get_num_threads()
    torch.set_num_threads(job.training.threads)
    try:
        return _run(job)
    finally:
        torch.set_num_threads(threads)


def _run(job: StageJob) -> Path:
    batches = _micro_batches(job)
    model = build_model(job.model, seed=job.seed)
    average = _start(job, model)
    first = _first_validation(job, average.weights)
    engine = create_engine(job.training, model)
    try:
        trainer = StageTrainer(
            job.training,
            job.stage,
            job.seed,
            config_hash=job.config_hash,
            engine=engine,
            weights=model,
            average=average,
            batches=batches,
            objective=Objective(job.diffusion, with_voices=job.model.speaker_dim > 0),
            workdir=job.workdir,
            log=job.log,
        )
        trainer.resume()
        trainer.run(job.progress)
        last = _validate(job, trainer.average.weights, synchrony=job.stage == 3)
        return _write_result(job, trainer, model, first, last)
    finally:
        engine.close()


def _micro_batches(job: StageJob) -> MicroBatches:
    sampler = MicroBatchSampler(job.shards, job.training, job.loader, job.stage, job.seed, job.model)
    widths = {entry.voice_width for entry in job.shards.entries.values() if entry.voice_slots}
    if widths and not job.model.speaker_dim:
        job.log("the clips' voices are not used: model.speaker_dim is 0")
    elif widths - {job.model.speaker_dim}:
        raise InputError(
            f"voices of the latents have {max(widths)} values, but model.speaker_dim is {job.model.speaker_dim}"
        )
    steps = job.training.micro_batches_per_step
    loader = LatentLoader(job.shards, sampler, per_step=steps, prefetch=job.loader.prefetch)
    return MicroBatches(loader, job.training.stages()[job.stage - 1], job.stage, job.seed)


def load_averaged_model(folder: Path) -> NavaTransformer:
    """The model of a stage's result, with averaged weights, ready to predict."""
    model = build_model(ModelConfig(**read_json(folder / MODEL_CONFIG_FILE)))
    model.load_state_dict(load_file(folder / MODEL_FILE))
    return model.eval()


def _start(job: StageJob, model: NavaTransformer) -> MovingAverage:
    """Give the model the stage's start weights; returns the average that goes with them."""
    if job.previous is None:
        return MovingAverage(model.state_dict())
    before = _previous_manifest(job.previous)
    if before.stage != job.stage - 1:
        raise InputError(
            f"stage {job.stage} goes on from stage {job.stage - 1}; {job.previous} is of stage {before.stage}"
        )
    model.load_state_dict(load_file(job.previous / TRAINING_WEIGHTS_FILE))
    return MovingAverage(load_file(job.previous / MODEL_FILE))


def _previous_manifest(folder: Path) -> CheckpointManifest:
    try:
        return verify(folder)
    except CheckpointDamagedError as error:
        raise InputError(
            f"the result of the stage before, {folder}, is damaged: {error}; remove it and run again"
        ) from error


def _first_validation(job: StageJob, weights: dict[str, Tensor]) -> dict[str, Any]:
    """Validation before the stage, computed once however often the stage is resumed."""
    path = job.workdir / _FIRST_FILE
    if not path.is_file():
        write_json(path, _validate(job, weights))
    first: dict[str, Any] = read_json(path)
    return first


def _validate(job: StageJob, weights: dict[str, Tensor], synchrony: bool = False) -> dict[str, Any]:
    model = build_model(job.model).eval()
    model.load_state_dict(weights)
    clips = validation_set(job.shards, job.training)
    losses = validation_losses(model, job.shards, clips, job.training.validation_sigmas)
    stage = job.training.stages()[job.stage - 1]
    total = stage_objective(losses, stage, job.diffusion)
    job.log(f"stage {job.stage}: validation loss {total:.4f}")
    result: dict[str, Any] = {"total": total, "tasks": losses}
    if synchrony and len(clips.ids["av"]) > 1:
        result["synchrony"] = synchrony_losses(model, job.shards, clips.ids["av"], job.training.validation_sigmas)
    return result


def _write_result(
    job: StageJob, trainer: StageTrainer, model: NavaTransformer, first: dict[str, Any], last: dict[str, Any]
) -> Path:
    clips = validation_set(job.shards, job.training)
    stage = job.training.stages()[job.stage - 1]
    validation = {
        "schema_version": SCHEMA_VERSION,
        "stage": job.stage,
        "sigmas": job.training.validation_sigmas,
        "clips": {modality: len(ids) for modality, ids in clips.ids.items()},
        "split": clips.split,
        "micro_batches": {"audio_only": stage.audio_only, "audio_video": stage.audio_video},
        "first": first,
        "last": last,
    }
    manifest = CheckpointManifest(
        job.stage, trainer.done, trainer.curves[-1].samples, job.config_hash, {"seed": job.seed, "next_step": 0}
    )
    folder = job.workdir / _RESULT_FOLDER
    with atomic_folder(folder) as part:
        save_file(trainer.average.weights, part / MODEL_FILE)
        save_file({name: value.clone() for name, value in model.state_dict().items()}, part / TRAINING_WEIGHTS_FILE)
        write_json(part / MODEL_CONFIG_FILE, asdict(job.model))
        write_curves(part / CURVES_FILE, trainer.curves)
        write_json(part / VALIDATION_FILE, validation)
        seal(part, manifest)
    return folder
