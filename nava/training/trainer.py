"""The loop of one stage: update, average, record, save; and going on from the newest complete checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from nava.artifacts.checkpoint import CheckpointManifest, read_manifest
from nava.config.training import TrainingConfig
from nava.data.loader.loader import LoaderState
from nava.data.loader.ranks import deal
from nava.data.loader.sampler import SampledBatch
from nava.diffusion.loss import LossTerms
from nava.pages.formats import format_seconds
from nava.runtime.errors import EXIT_DIVERGED, InputError, NavaError
from nava.runtime.seeding import derived_seed
from nava.runtime.stop_request import StopRequest, stop_on_sigterm
from nava.runtime.storage import read_json, write_json
from nava.training.checkpoints import Checkpoints
from nava.training.curves import CurveRow, read_curves, write_curves
from nava.training.engine import Engine
from nava.training.interruption import TrainingStoppedError
from nava.training.micro_batches import MicroBatch, MicroBatches
from nava.training.run_folder import CHECKPOINTS, METRICS_FILE, record_event
from nava.training.schedule import ema_decay, learning_rate
from nava.training.spikes import LossSpikeError, few_of, spike_threshold
from nava.training.state_file import StateFiles
from nava.training.step_metrics import MetricsLog, StepClock, StepTally, batches_hash, by_name
from nava.training.world import World

TIMING_FILE = "timing.json"
_CURVES_FILE = "curves.jsonl"
_LOADER_FILE = "loader.json"


class NonFiniteLossError(NavaError):
    """A loss or a gradient is NaN or infinite. The order of the data is fixed: the same steps would end so again."""

    exit_code = EXIT_DIVERGED


class LossFunction(Protocol):
    """What computes the loss of a micro-batch."""

    def __call__(self, model: nn.Module, micro_batch: MicroBatch) -> LossTerms:
        """The loss of one micro-batch."""


class StageTrainer:
    """Trains a model through one stage, together with the other processes of the world.

    Args:
        config: the recipe.
        stage: 1, 2 or 3.
        seed: the run's seed.
        config_hash: hash of everything that decides the result.
        engine: holds the model to train.
        batches: this process's micro-batches.
        objective: their loss.
        workdir: checkpoints go in a folder of it, metrics and events in files.
        world: who trains together.
        validate: losses of the averaged weights, by `total` and `tasks`, asked every `validate_every_steps`; all
            processes together.
        steps: where the stage ends, in optimizer steps; the recipe's length if not given. The schedule stays.
        sample: told every `sample_every_steps` and at the end how many steps are done; all processes together.
        speed: figures to record of a step, from its micro-batches and its seconds.
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
        batches: MicroBatches,
        objective: LossFunction,
        workdir: Path,
        log: Callable[[str], None],
        world: World | None = None,
        validate: Callable[[], Mapping[str, Any]] | None = None,
        steps: int | None = None,
        sample: Callable[[int], None] | None = None,
        speed: Callable[[Sequence[SampledBatch], float], dict[str, float]] | None = None,
    ) -> None:
        self.config, self.stage, self.seed = config, stage, seed
        self.steps = steps or config.stages()[stage - 1].steps
        self.world = world or World()
        self.curves: list[CurveRow] = []
        self.checkpoints = Checkpoints(workdir / CHECKPOINTS, config, config_hash, self.world, log)
        self._config_hash = config_hash
        self._engine, self._batches, self._objective = engine, batches, objective
        self._ahead: Iterator[MicroBatch] | None = None
        self._workdir, self._log, self._validate = workdir, log, validate
        self._sample, self._speed = sample, speed
        self._metrics: MetricsLog | None = None
        self._spikes = 0

    @property
    def done(self) -> int:
        """Optimizer steps done."""
        return len(self.curves)

    def resume(self) -> int:
        """Go on from the newest complete checkpoint, if there is one; returns the steps done.

        Raises:
            InputError: more steps are done than the stage is to have.
        """
        folder = self.checkpoints.latest()
        if folder is not None:
            self._load(folder)
            if self.done > self.steps:
                raise InputError(
                    f"{self.done} steps of stage {self.stage} are done, more than the {self.steps} asked for; ask for "
                    f"at least {self.done}, or train in another folder"
                )
            self._log(f"stage {self.stage}: goes on after step {self.done} of {self.steps}")
        return self.done

    def _load(self, folder: Path) -> None:
        files = StateFiles(folder)
        self._engine.state.load(files.read, files.optimizer_step)
        self.curves = read_curves(folder / _CURVES_FILE)
        self._batches.loader.restore(LoaderState.from_json(read_json(folder / _LOADER_FILE)))
        self._ahead = None
        assert self.done == read_manifest(folder).step

    def run(self, progress: Callable[[Iterator[CurveRow], int, str], Iterator[CurveRow]]) -> None:
        """Train to the end of the stage, saving now and then.

        Raises:
            NonFiniteLossError, LossSpikeError: before anything is saved.
            TrainingStoppedError: after SIGTERM, once the step is finished and saved.
        """
        started, first = time.monotonic(), self.done
        report = _Report(self, self._log)
        if self.world.leads:
            self._metrics = MetricsLog(self._workdir / METRICS_FILE, self.done)
        try:
            with stop_on_sigterm() as stop:
                for row in progress(self._rows(stop), self.steps - self.done, f"stage {self.stage} steps"):
                    report.add(row)
            self.checkpoints.finish()
            self.world.barrier()
        finally:
            self.checkpoints.close()
            if self._metrics:
                self._metrics.close()
        if self.world.leads:
            # Times differ from run to run, so they stay out of the result.
            seconds = round(time.monotonic() - started, 2)
            timing = {"first_step": first + 1, "steps": self.done - first, "seconds": seconds}
            write_json(self._workdir / TIMING_FILE, timing)

    def _rows(self, stop: StopRequest) -> Iterator[CurveRow]:
        while self.done < self.steps:
            row = self.step(self.done)
            if row is None:
                continue
            self.curves.append(row)
            yield row
            last = self.done == self.steps
            due = last or self.done % self.config.checkpoint_every_steps == 0
            # Told to stop, saving comes first: how long the process is left alone is not up to it. Validation and
            # samples take long, so it is looked at again after each.
            stopping = self._told(stop)
            loss = None if stopping and not last else self._validated(last)
            stopping = stopping or (loss is not None and self._told(stop))
            if due or stopping:
                self.save(loss, wait=last or stopping)
            if not stopping and self._sampled(last) and self._told(stop):
                stopping = True
                if due:
                    self.checkpoints.finish()
                else:
                    self.save(loss)
            if stopping and not last:
                raise TrainingStoppedError(
                    f"stage {self.stage} was asked to stop (SIGTERM): {self.done} of {self.steps} steps are saved; "
                    "the same command goes on from there"
                )

    def _told(self, stop: StopRequest) -> bool:
        """Whether any process was told to stop: all stop after the same step. All processes ask together.

        Raises:
            CheckpointFailedError: the save that was being written beside the steps failed in one of them.
        """
        so_far = torch.tensor([float(not stop.requested), float(not self.checkpoints.failed)])
        left_alone, saves_well = self.world.least(so_far).tolist()
        if not saves_well:
            self.checkpoints.finish()
        return not left_alone

    def _validated(self, last: bool) -> float | None:
        every = self.config.validate_every_steps
        if self._validate is None or not every or (self.done % every and not last):
            return None
        found = self._validate()
        self._event("validation", loss=found["total"], tasks=found["tasks"])
        return float(found["total"])

    def _sampled(self, last: bool) -> bool:
        """Whether it was time to sample, which is done."""
        every = self.config.sample_every_steps
        if self._sample is None or not every or (self.done % every and not last):
            return False
        self._sample(self.done)
        return True

    def step(self, step: int) -> CurveRow | None:
        """Optimizer step `step`, counted from 0 and the one after the last, and the update of the average.

        Returns:
            The step's row, or None if it was a spike and left out.
        """
        clock, tally = StepClock(), StepTally()
        sampled = self._batches.loader.next_step()
        micro_batches = self._taken(len(sampled) // self.world.data_size, clock)
        # Training draws from generators of its own; this covers whatever a model might draw from the global one.
        torch.manual_seed(derived_seed(self.seed, self.stage, "global", self.world.data_rank, step))
        limit = spike_threshold(
            self.config.guard, self.curves, with_video=any(batch.task.modality == "av" for batch in sampled)
        )
        losses_N3: list[Tensor] = []

        def keep() -> bool:
            losses_N3.append(self.world.gathered(tally.losses()).flatten(0, 1))
            self._require_finite(step, sampled, losses_N3[0][:, 0].tolist())
            return float(losses_N3[0][:, 0].mean()) <= limit

        rate = learning_rate(self.config, self.stage, step)
        norm = self._engine.update(self._losses(step, micro_batches, tally), rate, keep)
        if norm is None:
            self._spike(step, float(losses_N3[0][:, 0].mean()), limit, sampled)
            return None
        self._require_finite(step, sampled, losses_N3[0][:, 0].tolist(), norm)
        self._engine.state.average(ema_decay(self.config, self.stage, step))
        row = self._row(step, sampled, losses_N3[0], rate, norm)
        self._record(row, sampled, tally, clock)
        return row

    def _taken(self, count: int, clock: StepClock) -> list[MicroBatch]:
        if self._ahead is None:
            self._ahead = iter(self._batches)
        since = time.monotonic()
        found = [next(self._ahead) for _ in range(count)]
        clock.wait_s = time.monotonic() - since
        return found

    def _losses(self, step: int, micro_batches: list[MicroBatch], tally: StepTally) -> Iterator[Tensor]:
        for micro_batch in micro_batches:
            found = self._objective(self._engine.model, micro_batch)
            tally.add(micro_batch, found)
            yield found.total

    def _row(self, step: int, sampled: list[SampledBatch], losses_N3: Tensor, rate: float, norm: float) -> CurveRow:
        total, video, audio = ([x for x in column if not math.isnan(x)] for column in losses_N3.T.tolist())
        return CurveRow(
            stage=self.stage,
            step=step + 1,
            samples=sum(len(batch.ids) for batch in sampled) + (self.curves[-1].samples if self.curves else 0),
            loss=fmean(total),
            loss_video=fmean(video) if video else None,
            loss_audio=fmean(audio) if audio else None,
            lr=rate,
            grad_norm=norm,
        )

    def _record(self, row: CurveRow, sampled: list[SampledBatch], tally: StepTally, clock: StepClock) -> None:
        sums = self.world.gathered(tally.vector()).sum(0)
        if self._metrics is None:
            return
        times = clock.row(sum(batch.tokens for batch in sampled), sum(len(batch.ids) for batch in sampled))
        if self._speed is not None:
            times |= self._speed(sampled, times["step_s"])
        values = {"step": row.step, "stage": row.stage, "loss": row.loss, "lr": row.lr, "grad_norm": row.grad_norm}
        self._metrics.write(values | {"samples": row.samples, "batches": batches_hash(sampled)} | by_name(sums) | times)

    def _spike(self, step: int, loss: float, limit: float, sampled: list[SampledBatch]) -> None:
        """Act on a spike as the policy says: go on with the next micro-batches, from here or from the last save."""
        policy = self.config.guard.spike_policy
        self._spikes += 1
        clips = [clip for batch in sampled for clip in batch.ids]
        self._event("spike", step=step + 1, loss=loss, limit=limit, policy=policy, clips=clips)
        what = f"stage {self.stage}, step {step + 1}: the loss is {loss:.4g}, above {limit:.4g}"
        if policy == "stop" or self._spikes > self.config.guard.max_spikes:
            often = "" if policy == "stop" else f", spike number {self._spikes} of this run"
            raise LossSpikeError(f"{what}{often}. Nothing of it was saved: look at the latents of its {few_of(clips)}")
        after = self._batches.loader.state()
        self._log(f"warning: {what}; policy {policy}; {few_of(clips)}")
        if policy == "rewind":
            self.checkpoints.finish()
            if (folder := self.checkpoints.latest()) is not None:
                self._load(folder)
                self._batches.loader.restore(after)
                if self._metrics:
                    self._metrics.close()
                    self._metrics = MetricsLog(self._workdir / METRICS_FILE, self.done)

    def _event(self, kind: str, **values: object) -> None:
        if self.world.leads:
            record_event(self._workdir, kind, self.done, **values)

    def _require_finite(self, step: int, sampled: list[SampledBatch], losses_N: list[float], norm: float = 0.0) -> None:
        """Refuse a step whose losses, or the norm of whose gradient, are no numbers; all processes see it at once.

        Whose gradient it was, nobody can tell: gradients are summed while they are computed.

        Raises:
            NonFiniteLossError: names the micro-batches' clips; the event has all of the step.
        """
        bad = [place for place, loss in enumerate(losses_N) if not math.isfinite(loss)]
        if not bad and math.isfinite(norm):
            return
        of = [(number, batch) for number, part in enumerate(deal(sampled, self.world.data_size)) for batch in part]
        what = f"the gradient's norm is {norm}"
        if bad:
            what = f"the loss is {losses_N[bad[0]]} in process {of[bad[0]][0]}"
        clips = [clip for place in bad or range(len(of)) for clip in of[place][1].ids]
        batches = [
            {"data_rank": number, "loss": loss if math.isfinite(loss) else str(loss), "clips": list(batch.ids)}
            for (number, batch), loss in zip(of, losses_N, strict=True)
        ]
        self._event("not_finite", step=step + 1, text=what, clips=clips, micro_batches=batches)
        raise NonFiniteLossError(
            f"stage {self.stage}, step {step + 1}: {what}. Nothing of it was saved: lower training.learning_rate, or "
            f"look at the latents of its {few_of(clips)}"
        )

    def save(self, validation_loss: float | None = None, *, wait: bool = True) -> None:
        """Save the steps done as a checkpoint; all processes together."""
        manifest = CheckpointManifest(
            stage=self.stage,
            step=self.done,
            samples=self.curves[-1].samples if self.curves else 0,
            config_hash=self._config_hash,
            rng={"scheme": "sha256(seed/stage/purpose/number)", "seed": self.seed, "next_step": self.done},
            validation_loss=validation_loss,
        )
        self.checkpoints.save(self._engine.state, manifest, self._write, wait=wait)

    def _write(self, folder: Path) -> None:
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
        left = format_seconds((self._trainer.steps - row.step) / speed)
        self._log(f"{place}: loss {means}; learning rate {row.lr:.2g}, {speed:.1f} steps/s, {left} left")
        self._rows, self._since = [], time.monotonic()
