"""One stage from its start weights to its result: validate, train, validate, write."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor

from nava.artifacts.checkpoint import CheckpointDamagedError, CheckpointManifest, checkpoint_name, seal, verify
from nava.config.composition import identity_values
from nava.config.diffusion import DiffusionConfig
from nava.config.loader import LoaderConfig
from nava.config.model import ModelConfig
from nava.config.training import TrainingConfig
from nava.data.loader.epoch import BatchLimit
from nava.data.loader.loader import LatentLoader
from nava.data.loader.ranks import require_one_task_at_a_time
from nava.data.loader.sampler import MicroBatchSampler
from nava.data.shards import LatentSource
from nava.model.architecture import build_model
from nava.model.backbone import NavaTransformer
from nava.model.compilation import compile_model
from nava.model.keys import config_of
from nava.model.recomputation import recompute_blocks
from nava.model.sequence_parallel import SequenceParallel
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import atomic_folder, read_json, write_json
from nava.training.adapters import Adapter, add_adapters, weights_sha256
from nava.training.curves import CurveRow, write_curves
from nava.training.engine import Engine, create_engine
from nava.training.latents_fit import require_fit
from nava.training.micro_batches import MicroBatches
from nava.training.objective import Objective
from nava.training.run_folder import CHECKPOINTS, RESULT_FOLDER, read_events, record_event
from nava.training.samples import SampleMaker, Sampling, check_sampling
from nava.training.sharded_state import AVERAGE, WEIGHT, reader_of
from nava.training.speed import Speed
from nava.training.start import require_same_model, start_weights
from nava.training.state_file import StateFiles
from nava.training.trainer import StageTrainer
from nava.training.validation import (
    BATCH,
    stage_objective,
    synchrony_losses,
    validated_tasks,
    validation_losses,
    validation_set,
)
from nava.training.world import World, collective_errors, join_world

SCHEMA_VERSION = 1
MODEL_FILE = "model.safetensors"
TRAINING_WEIGHTS_FILE = "training_weights.safetensors"
ADAPTER_FOLDER = "adapter"
MODEL_CONFIG_FILE = "model_config.json"
CURVES_FILE = "curves.jsonl"
VALIDATION_FILE = "validation.json"
_FIRST_FILE = "validation_first.json"


@dataclass(frozen=True)
class StageJob:
    """All that decides a stage's result, where it works, and to whom it reports.

    Attributes:
        previous: result folder of the stage before; None starts from a new model drawn from the seed.
        init: weights to start from instead, as `nava.training.start.start_weights` takes them.
        inputs: hashes of what the stage reads, for the checkpoints' config hash.
        progress: wraps the rows of the loop and reports.
        log: takes plain lines.
        steps: where the stage ends, in optimizer steps; None is the recipe's length. The schedule stays as it is.
        sampling: how clips are made every `training.sample_every_steps`; None makes none.
        peak_tflops: of one GPU, for MFU.
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
    steps: int | None = None
    init: Path | None = None
    sampling: Sampling | None = None
    peak_tflops: float | None = None

    @property
    def config_hash(self) -> str:
        """Hash of the configuration, seed and inputs; `steps` is not in it, so a stage can be made longer."""
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
    with collective_errors(world, job.training.guard.collective_timeout_s):
        return _run_in(world, job)


def _run_in(world: World, job: StageJob) -> Path:
    log = job.log if world.leads else _silent
    check_sampling(job.training, world)
    batches = _micro_batches(job, world, log)
    model = build_model(job.model, seed=job.seed)
    start = _start(job, model)
    if job.training.lora.rank:
        add_adapters(model, job.training.lora, job.seed)
    shapes = {name: value.shape for name, value in model.named_parameters() if value.requires_grad}
    parallel = SequenceParallel(model, _neighbours(world)) if world.sequence_parallel > 1 else None
    prepare_model(job.training, model)
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
            validate=stage.validation,
            steps=job.steps,
            sample=stage.samples,
            speed=Speed.of(job.model, job.training.lora, job.shards, world.size, _peak_tflops(job)),
        )
        trainer.resume()
        trainer.run(job.progress if world.leads else _without_progress)
        last = stage.validation(synchrony=job.stage == 3)
        if world.leads:
            _note_validation(job.workdir, trainer.done, last)
            _write_result(job, trainer, shapes, first, last)
        world.barrier()
        return job.workdir / RESULT_FOLDER
    finally:
        if parallel:
            parallel.remove()
        engine.close()


def _silent(_text: str) -> None:
    """The other processes say what the first one says."""


def _without_progress(rows: Iterator[CurveRow], _total: int, _label: str) -> Iterator[CurveRow]:
    return rows


def _peak_tflops(job: StageJob) -> float | None:
    """Only GPUs have a peak that a utilisation could be a share of."""
    return job.peak_tflops if torch.cuda.is_available() else None


def prepare_model(config: TrainingConfig, model: NavaTransformer) -> None:
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
    require_fit(job.shards, job.model)
    tags = set(job.training.stages()[job.stage - 1].curated_tags)
    if tags and not any(tags & set(entry.tags) for entry in job.shards.select("train", "av")):
        log(
            f"warning: no training clip has a tag of training.stage{job.stage}.curated_tags ({', '.join(sorted(tags))})"
        )
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
    if job.init is not None:
        start_weights(job.init, model, job.model)
        return None
    if job.previous is None:
        return None
    before = _previous_manifest(job.previous)
    if before.stage != job.stage - 1:
        raise InputError(
            f"stage {job.stage} goes on from stage {job.stage - 1}; {job.previous} is of stage {before.stage}"
        )
    require_same_model(config_of(None, job.previous / MODEL_CONFIG_FILE), job.model, str(job.previous))
    average = load_file(job.previous / MODEL_FILE)
    if job.training.lora.rank:
        # What stays frozen is the model that the stage before gave away.
        model.load_state_dict(average)
        return None
    model.load_state_dict(load_file(job.previous / TRAINING_WEIGHTS_FILE))
    return average


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
        self._maker: SampleMaker | None = None
        if job.sampling is not None:
            ids = self._clips.ids["av"] or self._clips.ids["audio"]
            self._maker = SampleMaker(job.sampling, job.shards, ids, job.workdir, world, log)

    def samples(self, step: int) -> None:
        """Clips of the averaged weights; all processes together."""
        if self._maker is None:
            return
        with self._engine.state.averaged():
            self._engine.model.eval()
            self._maker.make(self._engine, step)
            self._engine.model.train()

    def first_validation(self) -> dict[str, Any]:
        """Validation before the stage, computed once however often the stage is resumed."""
        path = self._job.workdir / _FIRST_FILE
        if not self._world.from_leader(path.is_file()):
            found = self.validation()
            if self._world.leads:
                write_json(path, found)
                _note_validation(self._job.workdir, 0, found)
            return found
        first: dict[str, Any] = read_json(path) if self._world.leads else {}
        return first

    def validation(self, synchrony: bool = False) -> dict[str, Any]:
        """Losses on held-out clips, and the stage's own mixture of them."""
        job, sigmas = self._job, self._job.training.validation_sigmas
        # What fits while training fits here.
        limit = BatchLimit(min(BATCH.clips, job.training.micro_batch_size), job.loader.max_tokens)
        with self._engine.state.averaged():
            model = self._engine.model
            model.eval()
            tasks = validated_tasks(job.training)
            losses = validation_losses(model, job.shards, self._clips, tasks, sigmas, self._world, limit)
            total = stage_objective(losses, job.training.stages()[job.stage - 1], job.diffusion)
            self._log(f"stage {job.stage}: validation loss {total:.4f}")
            result: dict[str, Any] = {"total": total, "tasks": losses}
            if synchrony and (
                gaps := synchrony_losses(model, job.shards, self._clips.ids["av"], sigmas, self._world, limit)
            ):
                result["synchrony"] = gaps
            model.train()
        return result


def _note_validation(folder: Path, done: int, found: dict[str, Any]) -> None:
    """Into the run's events, unless it is there: the end of a stage may be reached again."""
    if not any(event["event"] == "validation" and event["done"] == done for event in read_events(folder)):
        record_event(folder, "validation", done, loss=found["total"], tasks=found["tasks"])


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
        "clips": {pool: len(ids) for pool, ids in clips.ids.items()},
        "split": clips.split,
        "micro_batches": {"audio_only": stage.audio_only, "audio_video": stage.audio_video},
        "first": first,
        "last": last,
    }
    manifest = CheckpointManifest(
        job.stage, trainer.done, trainer.curves[-1].samples, job.config_hash, {"seed": job.seed, "next_step": 0}
    )
    files = StateFiles(job.workdir / CHECKPOINTS / checkpoint_name(trainer.done))
    with atomic_folder(job.workdir / RESULT_FOLDER) as part:
        if job.training.lora.rank:
            _write_adapted(job, files, shapes, part)
        else:
            save_file(files.whole(AVERAGE, shapes), part / MODEL_FILE)
            save_file(files.whole(WEIGHT, shapes), part / TRAINING_WEIGHTS_FILE)
        write_json(part / MODEL_CONFIG_FILE, asdict(job.model))
        write_curves(part / CURVES_FILE, trainer.curves)
        write_json(part / VALIDATION_FILE, validation)
        seal(part, manifest)


def _write_adapted(job: StageJob, files: StateFiles, shapes: dict[str, torch.Size], part: Path) -> None:
    """The averaged adapters alone, and the weights they are merged into, once averaged and once as trained."""
    model = build_model(job.model, seed=job.seed)
    _start(job, model)
    base = model.state_dict()
    sha256 = weights_sha256(base)
    for state, file in ((AVERAGE, MODEL_FILE), (WEIGHT, TRAINING_WEIGHTS_FILE)):
        adapter = Adapter.of_parameters(job.training.lora, files.whole(state, shapes), sha256)
        if state == AVERAGE:
            adapter.write(part / ADAPTER_FOLDER)
        save_file(adapter.merged(base), part / file)
