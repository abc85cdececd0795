"""Runs stages one after another in the processes that torchrun started, or in this one.

python -m tests.training.stage_runs RUNS.json: a list of {"workdir", "training": changes, "stop_at": step or null}.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from nava.config.loader import LoaderConfig
from nava.runtime.errors import NavaError
from nava.training.curves import CurveRow
from nava.training.interruption import TrainingStoppedError
from nava.training.stage import StageJob, run_stage
from tests.training.latents_in_memory import DIFFUSION, TINY_MODEL, LatentsInMemory, tiny_training

REPOSITORY = Path(__file__).parents[2]
STEPS = 20
# Two micro-batches per step, of one task: one or two processes can share them.
LOADER = LoaderConfig(run_length=2)


def job_of(workdir: Path, training: dict[str, Any], stop_at: int | None = None) -> StageJob:
    """A stage 2 of twenty steps, all tasks, that is told to stop after a step."""

    def progress(rows: Iterator[CurveRow], _total: int, _label: str) -> Iterator[CurveRow]:
        for row in rows:
            if row.step == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)
            yield row

    config = tiny_training(engine="deepspeed", micro_batches_per_step=2, checkpoint_every_steps=5, learning_rate=4e-3)
    stage = replace(config.stage2, **{"steps": STEPS, **training.get("stage2", {})})
    guard = replace(config.guard, **training.get("guard", {}))
    lora = replace(config.lora, **training.get("lora", {}))
    config = replace(config, **{**training, "stage2": stage, "guard": guard, "lora": lora})
    config.stage2.tasks.ti2av = config.stage2.tasks.t2v = 1
    return StageJob(
        stage=2,
        seed=5,
        training=config,
        model=TINY_MODEL,
        diffusion=DIFFUSION,
        loader=LOADER,
        shards=LatentsInMemory(),
        previous=None,
        inputs={},
        workdir=workdir,
        progress=progress,
        log=lambda text: print(text, flush=True),
    )


def run_in(
    processes: int, folder: Path, runs: Sequence[dict[str, Any]], module: str = "tests.training.stage_runs"
) -> subprocess.CompletedProcess[str]:
    """Do runs in so many processes; `workdir` of each is a name in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = [run | {"workdir": str(folder / run["workdir"])} for run in runs]
    spec = folder / "runs.json"
    spec.write_text(json.dumps(listed))
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, *launcher, "-m", module, str(spec)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, check=False, text=True, capture_output=True, cwd=REPOSITORY, env=environment)


def main() -> None:
    """Do the runs of a file."""
    for run in json.loads(Path(sys.argv[1]).read_text()):
        workdir = Path(run["workdir"])
        workdir.mkdir(parents=True, exist_ok=True)
        try:
            run_stage(job_of(workdir, run.get("training", {}), run.get("stop_at")))
        except TrainingStoppedError as stopped:
            print(f"stopped: {stopped}")
        except NavaError as error:
            sys.exit(f"nava: {error}")


if __name__ == "__main__":
    main()
