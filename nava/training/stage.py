"""One stage from its start weights to its result: validate, train, validate, write."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor

from nava.artifacts.checkpoint import CheckpointDamagedError, CheckpointManifest, complete_folders, seal, verify
from nava.config.composition import identity_values
from nava.config.diffusion import DiffusionConfig
from nava.config.loader import LoaderConfig
from nava.config.model import ModelConfig
from nava.config.training import TrainingConfig
from nava.data.loader.loader import LatentLoader
from nava.data.loader.ranks import require_one_task_at_a_time
from nava.data.loader.sampler import MicroBatchSampler
from nava.data.shards import LatentSource
from nava.model.architecture import build_model
from nava.model.backbone import NavaTransformer
from nava.model.compilation import compile_model
from nava.model.recomputation import recompute_blocks
from nava.model.sequence_parallel import SequenceParallel
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import atomic_folder, read_json, write_json
from nava.training.curves import CurveRow, write_curves
from nava.training.engine import Engine, create_engine
from nava.training.micro_batches import MicroBatches
from nava.training.objective import Objective
from nava.training.sharded_state import AVERAGE, WEIGHT, reader_of
from nava.training.state_file import StateFiles
from nava.training.trainer import CHECKPOINTS, StageTrainer
from nava.training.validation import stage_objective, synchrony_losses, validation_losses, validation_set
from nava.training.world import World, join_world

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
    world = join_world(job.training)
    log = job.log if world.leads else _silent
    batches = _micro_batches(job, world, log)
    model = build_model(job.model, seed=job.seed)
    shapes = {name: parameter.shape for name, parameter in model.named_parameters()}
    start = _start(job, model)
    parallel = SequenceParallel(model, _neighbours(world)) if world.sequence_parallel > 1 else None
    _prepare(job.training, model)
    engine = create_engine(job.training, model, world)
    try:
        engine.state.load(reader_of({AVERAGE: start} if start else {}), optimizer_step=0)
        stage = _Stage(job, world, engine, log)
        first = stage.first_validation()
        trainer = StageTrainer(
            job.training,
            job.stage,
            job.seed,
            config_hash=job.config_hash,
            engine=engine,
            batches=batches,
            objective=Objective(job.diffusion, with_voices=job.model.speaker_dim > 0, device=world.device),
            workdir=job.workdir,
            log=log,
            world=world,
            validate=lambda: float(stage.validation()["total"]),
        )
        trainer.resume()
        trainer.run(job.progress if world.leads else _without_progress)
        last = stage.validation(synchrony=job.stage == 3)
        if world.leads:
            _write_result(job, trainer, shapes, first, last)
        world.barrier()
        return job.workdir / _RESULT_FOLDER
    finally:
        if parallel:
            parallel.remove()
        engine.close()


def _silent(_text: str) -> None:
    """The other processes say what the first one says."""


def _without_progress(rows: Iterator[CurveRow], _total: int, _label: str) -> Iterator[CurveRow]:
    return rows


def _prepare(config: TrainingConfig, model: NavaTransformer) -> None:
    """What changes how blocks compute, not what."""
    if config.compile:
        compile_model(model)
    if config.activation_checkpointing:
        recompute_blocks(model)


def _neighbours(world: World) -> dist.ProcessGroup | None:
    """The processes that share this one's micro-batches."""
    size, own = world.sequence_parallel, None
    # Every process has to make every group.
    for first in range(0, world.size, size):
        group = dist.new_group(list(range(first, first + size)))
        if first // size == world.data_rank:
            own = group
    return own


def _micro_batches(job: StageJob, world: World, log: Callable[[str], None]) -> MicroBatches:
    sampler = MicroBatchSampler(job.shards, job.training, job.loader, job.stage, job.seed, job.model)
    widths = {entry.voice_width for entry in job.shards.entries.values() if entry.voice_slots}
    if widths and not job.model.speaker_dim:
        log("the clips' voices are not used: model.speaker_dim is 0")
    elif widths - {job.model.speaker_dim}:
        raise InputError(
            f"voices of the latents have {max(widths)} values, but model.speaker_dim is {job.model.speaker_dim}"
        )
    per_step = job.training.micro_batches_per_step
    require_one_task_at_a_time(per_step, world.data_size, job.loader.run_length)
    loader = LatentLoader(
        job.shards,
        sampler,
        per_step=per_step,
        rank=world.data_rank,
        ranks=world.data_size,
        prefetch=job.loader.prefetch,
    )
    return MicroBatches(loader, job.training.stages()[job.stage - 1], job.stage, job.seed)


def load_averaged_model(folder: Path) -> NavaTransformer:
    """The model of a stage's result, with averaged weights, ready to predict."""
    model = build_model(ModelConfig(**read_json(folder / MODEL_CONFIG_FILE)))
    model.load_state_dict(load_file(folder / MODEL_FILE))
    return model.eval()


def _start(job: StageJob, model: NavaTransformer) -> dict[str, Tensor] | None:
    """Give the model the stage's start weights; returns the average that goes with them, None if it is the same."""
    if job.previous is None:
        return None
    before = _previous_manifest(job.previous)
    if before.stage != job.stage - 1:
        raise InputError(
            f"stage {job.stage} goes on from stage {job.stage - 1}; {job.previous} is of stage {before.stage}"
        )
    model.load_state_dict(load_file(job.previous / TRAINING_WEIGHTS_FILE))
    return load_file(job.previous / MODEL_FILE)


def _previous_manifest(folder: Path) -> CheckpointManifest:
    try:
        return verify(folder)
    except CheckpointDamagedError as error:
        raise InputError(
            f"the result of the stage before, {folder}, is damaged: {error}; remove it and run again"
        ) from error


class _Stage:
    """Validation of the averaged weights inside a stage; all processes together."""

    def __init__(self, job: StageJob, world: World, engine: Engine, log: Callable[[str], None]) -> None:
        self._job, self._world, self._engine, self._log = job, world, engine, log
        self._clips = validation_set(job.shards, job.training)

    def first_validation(self) -> dict[str, Any]:
        """Validation before the stage, computed once however often the stage is resumed."""
        path = self._job.workdir / _FIRST_FILE
        if not self._world.from_leader(path.is_file()):
            found = self.validation()
            if self._world.leads:
                write_json(path, found)
            return found
        first: dict[str, Any] = read_json(path) if self._world.leads else {}
        return first

    def validation(self, synchrony: bool = False) -> dict[str, Any]:
        """Losses on held-out clips, and the stage's own mixture of them."""
        job, sigmas = self._job, self._job.training.validation_sigmas
        with self._engine.state.averaged():
            model = self._engine.model
            model.eval()
            losses = validation_losses(model, job.shards, self._clips, sigmas, self._world)
            total = stage_objective(losses, job.training.stages()[job.stage - 1], job.diffusion)
            self._log(f"stage {job.stage}: validation loss {total:.4f}")
            result: dict[str, Any] = {"total": total, "tasks": losses}
            if synchrony and len(self._clips.ids["av"]) > 1:
                result["synchrony"] = synchrony_losses(model, job.shards, self._clips.ids["av"], sigmas, self._world)
            model.train()
        return result


def _write_result(
    job: StageJob, trainer: StageTrainer, shapes: dict[str, torch.Size], first: dict[str, Any], last: dict[str, Any]
) -> None:
    """The result, put together from the last checkpoint: no process ever needs to hold all of the training state."""
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
    files = StateFiles(complete_folders(job.workdir / CHECKPOINTS)[0])
    with atomic_folder(job.workdir / _RESULT_FOLDER) as part:
        save_file(files.whole(AVERAGE, shapes), part / MODEL_FILE)
        save_file(files.whole(WEIGHT, shapes), part / TRAINING_WEIGHTS_FILE)
        write_json(part / MODEL_CONFIG_FILE, asdict(job.model))
        write_curves(part / CURVES_FILE, trainer.curves)
        write_json(part / VALIDATION_FILE, validation)
        seal(part, manifest)
