"""Claim (a goal; no GPU was lent so far): on one H200 the largest stack that fits trains at 45 % of its peak.

Whole steps of `StageTrainer` under DeepSpeed ZeRO 1 in bf16 on one clip of the release's size (704 x 1280, 145 frames,
6 s of sound): step time, tokens/s, MFU (operations that the step needs, without what is computed again, over
`cluster.peak_bf16_tflops`) and memory; with and without activation checkpointing and compilation. Each measurement is
a process of its own. From the released 30 layers downwards the first that fits counts; those that did not are listed.

Writes `benchmarks/results/training_gpu.json`. Command: `python benchmarks/training_gpu.py`, minutes on a GPU. `--tiny`
goes the same way with a tiny model on whatever is there, and writes nothing: a test of this file.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.loader import SetOfClips, write_set  # noqa: E402
from benchmarks.machine import machine  # noqa: E402
from benchmarks.model import LARGE_AUDIO, LARGE_VIDEO  # noqa: E402
from benchmarks.training import Engine, Size, training  # noqa: E402
from nava.config.cluster import ClusterConfig  # noqa: E402
from nava.config.model import ModelConfig, release_config  # noqa: E402
from nava.data.shards import LatentShards  # noqa: E402
from nava.training.estimate.parameters import count_parameters  # noqa: E402
from nava.training.run_folder import read_rows  # noqa: E402
from nava.training.speed import Speed  # noqa: E402
from nava.training.world import join_world  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results" / "training_gpu.json"
GOALS = {"mfu": 0.45}
DOES_NOT_FIT = 3
# Alignment and fusion layers, 1 : 2 as in the release, which is the first.
STACKS = ((10, 20), (8, 16), (6, 12), (4, 8), (3, 6), (2, 4), (1, 2))
RELEASED_CLIP = SetOfClips("released", 2, 2, 1, "bfloat16", LARGE_VIDEO, LARGE_AUDIO, (512, 4096))
TINY_CLIP = SetOfClips("tiny", 4, 4, 1, "float32", (48, 3, 4, 4), (12, 64), (8, 64))


@dataclass(frozen=True)
class Case:
    """What one process measures."""

    alignment_layers: int
    fusion_layers: int
    activation_checkpointing: bool
    compiled: bool
    steps: int
    tiny: bool


def model_of(case: Case) -> ModelConfig:
    """The released sizes at so many layers, or a tiny model."""
    model = ModelConfig(text_len=8) if case.tiny else release_config()
    return replace(model, num_hal_layers=case.alignment_layers, num_ufl_layers=case.fusion_layers)


def clips_of(case: Case) -> SetOfClips:
    """Clips for that model."""
    return TINY_CLIP if case.tiny else RELEASED_CLIP


def measure(case: Case, folder: Path) -> dict[str, Any]:
    """Whole steps; the first two, which compile and warm up, are not counted."""
    size = Size(model_of(case), clips_of(case), case.steps)
    changes = {"activation_checkpointing": case.activation_checkpointing, "compile": case.compiled}
    # Without a GPU bf16 is slow and no test of anything.
    config = replace(training(size, 1, 1), **changes, precision="bf16" if torch.cuda.is_available() else "fp32")
    shards = LatentShards(folder / "shards")
    workdir = folder / "work"
    workdir.mkdir()
    speed = Speed.of(size.model, config.lora, shards, 1, ClusterConfig().peak_bf16_tflops)
    engine = Engine(size, shards, config, workdir, join_world(config), speed)
    for _ in range(case.steps + 2):
        engine.step()
    rows = read_rows(engine.metrics_file)[2:]
    engine.trainer.checkpoints.close()
    engine.engine.close()
    names = ("step_s", "tokens_per_s", "tflops", "mfu", "gpu_memory_gib")
    found = {name: round(statistics.median(row[name] for row in rows), 6) for name in names if name in rows[0]}
    return {"parameters": count_parameters(size.model, config.lora).total, **found}


def child(case: Case) -> int:
    """Measure in this process and print it; the exit code says that it does not fit."""
    with tempfile.TemporaryDirectory() as folder:
        write_set(Path(folder) / "shards", clips_of(case))
        try:
            print(json.dumps(measure(case, Path(folder))))
        except torch.OutOfMemoryError:
            return DOES_NOT_FIT
    return 0


def largest(checkpointing: bool, compiled: bool, steps: int, tiny: bool) -> dict[str, Any]:
    """The first stack that fits, and those before it that did not."""
    too_large = []
    for alignment, fusion in STACKS[-2:] if tiny else STACKS:
        case = Case(alignment, fusion, checkpointing, compiled, steps, tiny)
        command = [sys.executable, __file__, "--case", json.dumps(asdict(case))]
        done = subprocess.run(command, text=True, stdout=subprocess.PIPE, check=False)
        if done.returncode == DOES_NOT_FIT:
            too_large.append(alignment + fusion)
            continue
        if done.returncode:
            raise SystemExit(f"failed with exit code {done.returncode}: {' '.join(command)}")
        return {**asdict(case), "layers_too_many": too_large, **json.loads(done.stdout.splitlines()[-1])}
    raise SystemExit(f"not even {sum(STACKS[-1])} layers fit")


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case:
        return child(Case(**json.loads(options.case)))
    if not options.tiny and not torch.cuda.is_available():
        raise SystemExit("no GPU here: nothing was measured (--tiny tries the way on the CPU)")
    found = []
    for checkpointing, compiled in ((True, False), (True, True), (False, False), (False, True)):
        found.append(largest(checkpointing, compiled, options.steps, options.tiny))
        print(json.dumps(found[-1]), flush=True)
    if not options.tiny:
        value = {"command": "python benchmarks/training_gpu.py", "goals": GOALS, "machine": machine(), "found": found}
        value["gpu"] = torch.cuda.get_device_name()
        RESULTS.write_text(json.dumps(value, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
