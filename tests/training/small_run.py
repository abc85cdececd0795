"""The folder of a run as training leaves it, without training."""

import json
from pathlib import Path

from nava.config.composition import compose
from nava.training.job_file import SECTIONS, TrainingJob
from nava.training.run_folder import JOB_FILE, METRICS_FILE, record_event


def a_job(folder: Path, *overrides: str, steps: int | None = 20) -> TrainingJob:
    resolved = compose("smoke", list(overrides))
    return TrainingJob(
        recipe="smoke",
        stage=1,
        seed=0,
        config=resolved.config,
        identity={name: resolved.identity[name] for name in SECTIONS},
        shards="/shards",
        previous="",
        init="",
        inputs={"shards": "s", "previous": ""},
        steps=steps,
        workdir=str(folder),
    )


def a_row(step: int, **changes: object) -> dict:
    row = {
        "step": step,
        "stage": 1,
        "loss": 3.0 / step,
        "lr": 0.001,
        "grad_norm": 0.5,
        "samples": 8 * step,
        "batches": "abc",
        "loss_video": 1.5,
        "loss_audio": None,
        "loss_video_low": 1.0,
        "loss_t2av_video": 1.5,
        "text_dropped_share": 0.1,
        "time": 1000.0 + step,
        "step_s": 0.5,
        "data_wait_s": 0.05,
        "tokens_per_s": 200.0,
        "samples_per_s": 16.0,
    }
    return row | changes


def a_run(folder: Path, steps: int = 6, *overrides: str) -> Path:
    """Six steps of twenty, two validations and a spike."""
    folder.mkdir(parents=True, exist_ok=True)
    a_job(folder, *overrides).write(folder / JOB_FILE)
    add_rows(folder, 1, steps)
    losses = {"t2av_video": {"by_sigma": {"0.5": 2.0}, "mean": 2.0}}
    record_event(folder, "validation", 0, loss=4.0, tasks=losses)
    record_event(folder, "spike", 3, step=4, loss=99.0, limit=9.0, policy="skip", clips=["<b>1", "c2"])
    record_event(folder, "validation", 5, loss=3.5, tasks=losses)
    return folder


def add_rows(folder: Path, first: int, last: int) -> None:
    with (folder / METRICS_FILE).open("a") as file:
        for step in range(first, last + 1):
            file.write(json.dumps(a_row(step)) + "\n")
