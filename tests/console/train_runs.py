"""Runs `nava train` on a tiny corpus with its own codecs, in this process or in one of its own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner, Result

from nava.cli import main

REPOSITORY = Path(__file__).parents[2]
# The tiny corpus' own sizes.
MODEL = (
    "model.dim=16", "model.ffn_dim=32", "model.freq_dim=16", "model.num_heads=2", "model.num_hal_layers=1",
    "model.num_ufl_layers=1", "model.audio_stem_hidden=16", "model.video_channels=12",
)  # fmt: skip
SETTINGS = (
    *MODEL,
    "training.engine=plain",
    "training.micro_batch_size=4",
    "training.validation_clips=4",
    "training.checkpoint_every_steps=3",
    "training.stage1.warmup_steps=2",
    "generation.steps=2",
)


def arguments(shards: Path, out: Path, *more: str, stage: int = 1) -> list[str]:
    return ["train", "run", "--stage", str(stage), "--data", str(shards), "--out", str(out), *SETTINGS, *more]


def train(shards: Path, out: Path, *more: str, stage: int = 1) -> Result:
    return CliRunner().invoke(main, arguments(shards, out, *more, stage=stage))


def nava(*given: str) -> Result:
    return CliRunner().invoke(main, list(given))


def process(given: list[str]) -> "subprocess.Popen[str]":
    """The command in a process of its own, its output in pipes."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    return subprocess.Popen(
        [sys.executable, "-m", "nava.cli", *given],
        env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def lasting(out: Path) -> list[dict]:
    """The rows without times, which differ from run to run."""
    names = ("step", "loss", "lr", "grad_norm", "batches", "samples")
    return [{name: row[name] for name in names} for row in rows(out)]


def one_line(text: str) -> str:
    """The only line of an error."""
    (line,) = text.strip().splitlines()
    assert line.startswith("nava: ")
    return line


def until(so: Callable[[], bool], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
