"""Claim: a step of the engine takes at most 15 % longer than the plain loop's at the size of `benchmarks/model.md`.

Both sides train the same model on the same micro-batches from shards on disk, one process, float32. The plain side is a
loop as one would write it down: forward, backward, clip, AdamW, moving average, the data read between steps. The other
side is a whole step of `StageTrainer`, with reading ahead, tallies, metrics and curves. They take turns, step by step.

* step: the engine's step time over the plain loop's, for each ZeRO stage, at both sizes; and in two processes.
* data wait: the share of the step time that a step waits for its data.
* checkpoint: how long training stands still for a save beside the next steps, over a save that is waited for.

Writes `benchmarks/results/training.json`. Command: `python benchmarks/training.py`; `--quick` takes few steps and
writes nothing.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.loader import SetOfClips, write_set  # noqa: E402
from benchmarks.machine import machine  # noqa: E402
from benchmarks.model import CONFIG as MODEL_OF_THE_MODEL_BENCHMARK  # noqa: E402
from nava.config.diffusion import DiffusionConfig  # noqa: E402
from nava.config.loader import LoaderConfig  # noqa: E402
from nava.config.model import ModelConfig  # noqa: E402
from nava.config.training import StageConfig, TrainingConfig  # noqa: E402
from nava.data.loader.loader import LatentLoader  # noqa: E402
from nava.data.loader.sampler import MicroBatchSampler  # noqa: E402
from nava.data.shards import LatentShards  # noqa: E402
from nava.model.architecture import build_model  # noqa: E402
from nava.training.engine import create_engine  # noqa: E402
from nava.training.micro_batches import MicroBatches  # noqa: E402
from nava.training.objective import Objective  # noqa: E402
from nava.training.run_folder import read_rows  # noqa: E402
from nava.training.schedule import ema_decay, learning_rate  # noqa: E402
from nava.training.speed import Speed  # noqa: E402
from nava.training.stage import prepare_model  # noqa: E402
from nava.training.step_metrics import MetricsLog  # noqa: E402
from nava.training.trainer import StageTrainer  # noqa: E402
from nava.training.world import World, join_world  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "training.json"
GOALS = {"step_zero1": 1.15, "data_wait_share": 0.05, "checkpoint_stall": 0.10}


@dataclass(frozen=True)
class Size:
    """A model and clips for it."""

    model: ModelConfig
    clips: SetOfClips
    steps: int


SIZES = {
    # 1,440 video and 25 audio tokens, two clips a step.
    "model benchmark": Size(
        MODEL_OF_THE_MODEL_BENCHMARK,
        SetOfClips("model", 64, 16, 1, "float32", (48, 10, 24, 24), (25, 128), (128, 512)),
        steps=8,
    ),
    "demo": Size(
        ModelConfig(), SetOfClips("demo", 512, 128, 16, "float32", (48, 13, 4, 4), (52, 64), (32, 64)), steps=30
    ),
}


def training(size: Size, zero_stage: int, per_step: int) -> TrainingConfig:
    """The recipe of both sides."""
    stage = StageConfig(steps=10**6, audio_only=0, audio_video=1, warmup_steps=10)
    return TrainingConfig(
        stage1=stage,
        zero_stage=zero_stage,
        micro_batch_size=size.clips.micro_batch,
        micro_batches_per_step=per_step,
        checkpoint_every_steps=10**9,
    )


class Plain:
    """The loop as one would write it down."""

    def __init__(self, size: Size, shards: LatentShards, config: TrainingConfig) -> None:
        self._config, self._model = config, build_model(size.model, seed=0)
        self._average = {name: value.detach().clone() for name, value in self._model.named_parameters()}
        self._optimizer = torch.optim.AdamW(
            self._model.parameters(), betas=(config.beta1, config.beta2), weight_decay=0.0, fused=True
        )
        sampler = MicroBatchSampler(shards, config, LoaderConfig(run_length=2), 1, 0, size.model)
        loader = LatentLoader(shards, sampler, per_step=config.micro_batches_per_step, prefetch=0)
        self._batches = iter(MicroBatches(loader, config.stage1, 1, 0))
        self._objective, self._step = Objective(DiffusionConfig()), 0

    def step(self) -> float:
        """One optimizer step; its loss."""
        config = self._config
        self._optimizer.param_groups[0]["lr"] = learning_rate(config, 1, self._step)
        losses = []
        for batch in islice(self._batches, config.micro_batches_per_step):
            loss = self._objective(self._model, batch).total / config.micro_batches_per_step
            loss.backward()
            losses.append(loss.item())
        nn.utils.clip_grad_norm_(self._model.parameters(), config.gradient_clip)
        self._optimizer.step()
        self._optimizer.zero_grad()
        parameters = dict(self._model.named_parameters())
        with torch.no_grad():
            torch._foreach_lerp_(
                list(self._average.values()), list(parameters.values()), 1 - ema_decay(config, 1, self._step)
            )
        self._step += 1
        return sum(losses)


class Engine:
    """Whole steps of the trainer."""

    def __init__(
        self,
        size: Size,
        shards: LatentShards,
        config: TrainingConfig,
        folder: Path,
        world: World,
        speed: Speed | None = None,
    ) -> None:
        model = build_model(size.model, seed=0)
        prepare_model(config, model)
        self.engine = create_engine(config, model, world)
        sampler = MicroBatchSampler(shards, config, LoaderConfig(run_length=2), 1, 0, size.model)
        loader = LatentLoader(
            shards, sampler, per_step=config.micro_batches_per_step, rank=world.data_rank, ranks=world.data_size
        )
        self.trainer = StageTrainer(
            config,
            1,
            0,
            config_hash="benchmark",
            engine=self.engine,
            batches=MicroBatches(loader, config.stage1, 1, 0),
            objective=Objective(DiffusionConfig(), device=world.device),
            workdir=folder,
            log=lambda text: None,
            world=world,
            speed=speed,
        )
        self.metrics_file = folder / "metrics.jsonl"
        if world.leads:
            self.trainer._metrics = MetricsLog(self.metrics_file, 0)

    def step(self) -> float:
        """One optimizer step; its loss."""
        row = self.trainer.step(self.trainer.done)
        assert row is not None
        self.trainer.curves.append(row)
        return row.loss

    def save(self, wait: bool) -> float:
        """Seconds that training stands still for a save."""
        since = time.perf_counter()
        self.trainer.save(wait=wait)
        stalled = time.perf_counter() - since
        self.trainer.checkpoints.finish()
        return stalled


def turns(plain: Plain, engine: Engine, steps: int) -> dict[str, Any]:
    """Step times of both sides, in turn; the first two steps of each are not counted."""
    times: dict[str, list[float]] = {"plain": [], "engine": []}
    for number in range(steps + 2):
        losses = {}
        for name, side in (("plain", plain), ("engine", engine)):
            since = time.perf_counter()
            losses[name] = side.step()
            times[name].append(time.perf_counter() - since)
        assert abs(losses["plain"] / losses["engine"] - 1) < 1e-4, (number, losses)
    ratios = [ours / theirs for ours, theirs in zip(times["engine"][2:], times["plain"][2:], strict=True)]
    return {
        "plain_s": round(statistics.median(times["plain"][2:]), 4),
        "engine_s": round(statistics.median(times["engine"][2:]), 4),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_quartiles": [round(value, 3) for value in statistics.quantiles(ratios, n=4)[::2]],
    }


def measure(size: Size, folder: Path, zero_stage: int, steps: int, with_saves: bool) -> dict[str, Any]:
    """One process against the plain loop."""
    config = training(size, zero_stage, per_step=2)
    world = join_world(config)
    shards = LatentShards(folder / "shards")
    workdir = folder / f"zero{zero_stage}"
    workdir.mkdir(exist_ok=True)
    engine = Engine(size, shards, config, workdir, world)
    found = turns(Plain(size, shards, config), engine, steps)
    rows = read_rows(engine.metrics_file)[2:]
    found["data_wait_share"] = round(sum(row["data_wait_s"] for row in rows) / sum(row["step_s"] for row in rows), 4)
    found["tokens_per_s"] = round(statistics.median(row["tokens_per_s"] for row in rows), 1)
    if with_saves:
        stalls: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(3):
            for wait in (True, False):
                engine.step()
                stalls[wait].append(engine.save(wait))
        found["save_waited_for_s"], found["save_stall_s"] = (
            round(statistics.median(stalls[wait]), 4) for wait in (True, False)
        )
        found["checkpoint_stall"] = round(found["save_stall_s"] / found["save_waited_for_s"], 4)
    engine.trainer.checkpoints.close()
    engine.engine.close()
    return found


def two_processes(name: str, folder: Path, zero_stage: int, steps: int) -> dict[str, Any]:
    """The median step of two processes that share the two micro-batches, by torchrun; with its plain loop before."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", __file__]
    command += ["--rank-of", name, "--folder", str(folder), "--zero-stage", str(zero_stage), "--steps", str(steps)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, text=True, stdout=subprocess.PIPE, env=environment)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def rank(name: str, folder: Path, zero_stage: int, steps: int) -> None:
    """One of the two processes; the first prints the median."""
    size = SIZES[name]
    config = training(size, zero_stage, per_step=2)
    world = join_world(config)
    workdir = folder / f"two{zero_stage}"
    workdir.mkdir(exist_ok=True)
    engine = Engine(size, LatentShards(folder / "shards"), config, workdir, world)
    times = []
    for _ in range(steps + 2):
        since = time.perf_counter()
        engine.step()
        times.append(time.perf_counter() - since)
    if world.leads:
        print(json.dumps({"engine_s": round(statistics.median(times[2:]), 4)}))
    engine.trainer.checkpoints.close()
    engine.engine.close()


def sizes(quick: bool) -> Iterator[tuple[str, Size]]:
    """The sizes, short ones if asked."""
    for name, size in SIZES.items():
        yield name, replace(size, steps=4) if quick else size


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--rank-of", default="", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--zero-stage", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=10, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.rank_of:
        rank(options.rank_of, options.folder, options.zero_stage, options.steps)
        return
    found: dict[str, Any] = {"command": "python benchmarks/training.py", "goals": GOALS, "machine": machine()}
    for name, size in sizes(options.quick):
        with tempfile.TemporaryDirectory() as folder:
            write_set(Path(folder) / "shards", size.clips)
            found[name] = {}
            for zero_stage in (1, 0, 2, 3):
                # The goal is about stage 1; the others are for comparison.
                steps = size.steps if zero_stage == 1 else size.steps // 2
                one = measure(size, Path(folder), zero_stage, steps, with_saves=zero_stage == 1)
                found[name][f"zero{zero_stage}"] = one
                two = two_processes(name, Path(folder), zero_stage, steps)
                one["two_processes_s"] = two["engine_s"]
                one["two_processes_over_plain"] = round(two["engine_s"] / one["plain_s"], 3)
                print(f"{name}, ZeRO {zero_stage}: {json.dumps(one)}", flush=True)
    if not options.quick:
        RESULTS.write_text(json.dumps(found, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
