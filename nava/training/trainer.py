"""The loop of one stage: update, average, record, save; and going on from the newest complete checkpoint."""

import math
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nava.artifacts.checkpoint import CheckpointManifest, latest_complete, read_manifest, save_checkpoint
from nava.config.training import TrainingConfig
from nava.data.loader.loader import LoaderState
from nava.diffusion.loss import LossTerms
from nava.runtime.errors import NavaError
from nava.runtime.seeding import derived_seed
from nava.runtime.storage import read_json, write_json
from nava.training.curves import CurveRow, curve_row, read_curves, write_curves
from nava.training.engine import Engine
from nava.training.interruption import TrainingStoppedError, stop_on_sigterm
from nava.training.micro_batches import MicroBatch, MicroBatches
from nava.training.moving_average import MovingAverage
from nava.training.schedule import ema_decay, learning_rate

CHECKPOINTS = "checkpoints"
TIMING_FILE = "timing.json"
_EMA_FILE = "ema.safetensors"
_CURVES_FILE = "curves.jsonl"
_LOADER_FILE = "loader.json"
_ENGINE_FOLDER = "engine"


class NonFiniteLossError(NavaError):
    """A loss or a gradient is NaN or infinite."""


class LossFunction(Protocol):
    """What computes the loss of a micro-batch."""

    def __call__(self, model: nn.Module, micro_batch: MicroBatch) -> LossTerms:
        """The loss of one micro-batch."""


class StageTrainer:
    """Trains a model through one stage.

    Args:
        config: the recipe.
        stage: 1, 2 or 3.
        seed: the run's seed.
        config_hash: hash of everything that decides the result.
        engine: holds the model to train.
        average: the moving average as the stage before left it.
        batches: the stage's micro-batches.
        objective: their loss.
        workdir: checkpoints go in a folder of it.
        log: takes plain lines.
    """

    def __init__(
        self,
        config: TrainingConfig,
        stage: int,
        seed: int,
        *,
        config_hash: str,
        engine: Engine,
        weights: nn.Module,
        average: MovingAverage,
        batches: MicroBatches,
        objective: LossFunction,
        workdir: Path,
        log: Callable[[str], None],
    ) -> None:
        self.config = config
        self.stage = stage
        self.seed = seed
        self.average = average
        self.curves: list[CurveRow] = []
        self._config_hash = config_hash
        self._engine = engine
        self._weights = weights
        self._batches = batches
        self._ahead: Iterator[MicroBatch] | None = None
        self._objective = objective
        self._workdir = workdir
        self._checkpoints = workdir / CHECKPOINTS
        self._log = log

    @property
    def steps(self) -> int:
        """Optimizer steps of the stage."""
        return self.config.stages()[self.stage - 1].steps

    @property
    def done(self) -> int:
        """Optimizer steps done."""
        return len(self.curves)

    def resume(self) -> int:
        """Go on from the newest complete checkpoint, if there is one; returns the steps done."""
        folder = latest_complete(self._checkpoints, self._config_hash, lambda text: self._log(f"warning: {text}"))
        if folder is None:
            return 0
        self._engine.load(folder / _ENGINE_FOLDER)
        self.average = MovingAverage(load_file(folder / _EMA_FILE))
        self.curves = read_curves(folder / _CURVES_FILE)
        self._batches.loader.restore(LoaderState.from_json(read_json(folder / _LOADER_FILE)))
        assert self.done == read_manifest(folder).step
        self._log(f"stage {self.stage}: goes on after step {self.done} of {self.steps}")
        return self.done

    def run(self, progress: Callable[[Iterator[CurveRow], int, str], Iterator[CurveRow]]) -> None:
        """Train to the end of the stage, saving now and then.

        Raises:
            NonFiniteLossError: before anything is saved.
            TrainingStoppedError: after SIGTERM, once the step is finished and saved.
        """
        report, started, first = _Report(self, self._log), time.monotonic(), self.done
        with stop_on_sigterm() as stop:
            for row in progress(self._rows(), self.steps - self.done, f"stage {self.stage} steps"):
                report.add(row)
                last = self.done == self.steps
                if last or stop.requested or self.done % self.config.checkpoint_every_steps == 0:
                    self.save()
                if stop.requested:
                    raise TrainingStoppedError(
                        f"stage {self.stage} was asked to stop (SIGTERM): {self.done} of {self.steps} steps are saved; "
                        "the same command goes on from there"
                    )
        # Times differ from run to run, so they stay out of the result.
        seconds = round(time.monotonic() - started, 2)
        write_json(
            self._workdir / TIMING_FILE, {"first_step": first + 1, "steps": self.done - first, "seconds": seconds}
        )

    def _rows(self) -> Iterator[CurveRow]:
        while self.done < self.steps:
            self.curves.append(self.step(self.done))
            yield self.curves[-1]

    def step(self, step: int) -> CurveRow:
        """Optimizer step `step`, counted from 0 and the one after the last, and the update of the average."""
        config = self.config
        if self._ahead is None:
            self._ahead = iter(self._batches)
        micro_batches = list(islice(self._ahead, config.micro_batches_per_step))
        # Training draws from generators of its own; this covers whatever a model might draw from the global one.
        torch.manual_seed(derived_seed(self.seed, self.stage, "global", step))
        terms: list[LossTerms] = []
        rate = learning_rate(config, self.stage, step)
        norm = self._engine.update(self._losses(step, micro_batches, terms), rate)
        if not math.isfinite(norm):
            raise self._not_finite(step, f"the gradient's norm is {norm}", micro_batches)
        self.average.update(self._weights, ema_decay(config, self.stage, step))
        samples = sum(len(batch.ids) for batch in micro_batches)
        samples += self.curves[-1].samples if self.curves else 0
        return curve_row(self.stage, step + 1, samples, terms, lr=rate, grad_norm=norm)

    def _losses(self, step: int, micro_batches: list[MicroBatch], terms: list[LossTerms]) -> Iterator[Tensor]:
        for micro_batch in micro_batches:
            found = self._objective(self._engine.model, micro_batch)
            if not math.isfinite(float(found.total.detach())):
                raise self._not_finite(step, f"the loss is {float(found.total.detach())}", [micro_batch])
            terms.append(found)
            yield found.total

    def _not_finite(self, step: int, what: str, micro_batches: list[MicroBatch]) -> NonFiniteLossError:
        clips = ", ".join(clip for micro_batch in micro_batches for clip in micro_batch.ids)
        return NonFiniteLossError(
            f"stage {self.stage}, step {step + 1}: {what}; clips of this step: {clips}. "
            "Nothing was saved. Look at the latents of these clips, or lower training.learning_rate"
        )

    def save(self) -> Path:
        """Write a complete checkpoint of the steps done."""
        config = self.config
        manifest = CheckpointManifest(
            stage=self.stage,
            step=self.done,
            samples=self.curves[-1].samples if self.curves else 0,
            config_hash=self._config_hash,
            rng={"scheme": "sha256(seed/stage/purpose/number)", "seed": self.seed, "next_step": self.done},
        )
        return save_checkpoint(self._checkpoints, manifest, self._write, config.keep_checkpoints)

    def _write(self, folder: Path) -> None:
        (folder / _ENGINE_FOLDER).mkdir()
        self._engine.save(folder / _ENGINE_FOLDER)
        save_file(self.average.weights, folder / _EMA_FILE)
        write_curves(folder / _CURVES_FILE, self.curves)
        write_json(folder / _LOADER_FILE, self._batches.loader.state().to_json())


class _Report:
    """Plain lines with losses and speed, every few seconds. They go to the log only."""

    def __init__(self, trainer: StageTrainer, log: Callable[[str], None]) -> None:
        self._trainer = trainer
        self._log = log
        self._rows: list[CurveRow] = []
        self._since = time.monotonic()

    def add(self, row: CurveRow) -> None:
        self._rows.append(row)
        seconds = time.monotonic() - self._since
        if seconds < self._trainer.config.report_every_s:
            return
        losses = {
            "video": [row.loss_video for row in self._rows if row.loss_video is not None],
            "audio": [row.loss_audio for row in self._rows if row.loss_audio is not None],
        }
        means = ", ".join(f"{name} {sum(found) / len(found):.3f}" for name, found in losses.items() if found)
        speed = len(self._rows) / seconds
        place = f"stage {row.stage}, step {row.step} of {self._trainer.steps}"
        self._log(f"{place}: loss {means}; learning rate {row.lr:.2g}, {speed:.1f} steps/s")
        self._rows, self._since = [], time.monotonic()
