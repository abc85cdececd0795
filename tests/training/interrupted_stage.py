"""Runs stage 2 on the corpus in memory in a process of its own, and sends itself a signal after a step if asked to.

python -m tests.training.interrupted_stage WORKDIR ENGINE [SIGNAL STEP]
"""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from nava.config.loader import LoaderConfig
from nava.runtime.errors import NavaError
from nava.training.curves import CurveRow
from nava.training.stage import StageJob, run_stage
from tests.training.latents_in_memory import DIFFUSION, TINY_MODEL, LatentsInMemory, tiny_training


def stage_job(workdir: Path, engine: str, progress: object = lambda rows, total, label: rows) -> StageJob:
    # Saves are waited for, so that a signal after a step finds those of earlier steps complete.
    training = tiny_training(engine=engine, checkpoint_every_steps=2, checkpoint_async=False)
    return StageJob(
        stage=2,
        seed=9,
        training=training,
        model=TINY_MODEL,
        diffusion=DIFFUSION,
        loader=LoaderConfig(),
        shards=LatentsInMemory(),
        previous=None,
        inputs={},
        workdir=workdir,
        progress=progress,  # type: ignore[arg-type]
        log=lambda text: print(text, flush=True),
    )


def main() -> None:
    workdir, engine, *when = sys.argv[1:]

    def progress(rows: Iterator[CurveRow], total: int, label: str) -> Iterator[CurveRow]:
        for row in rows:
            if when and row.step == int(when[1]):
                os.kill(os.getpid(), signal.Signals[when[0]])
            yield row

    try:
        run_stage(stage_job(Path(workdir), engine, progress))
    except NavaError as error:
        print(error, flush=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
