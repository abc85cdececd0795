"""Runs combinations under torchrun and compares them with the plain loop.

python -m tests.training.composability_runs RUNS.json: does the runs of a file, and goes on after one that fails.
"""

from __future__ import annotations

import json
import math
import sys
import traceback
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nava.model.architecture import build_model
from nava.model.compilation import compile_model
from nava.runtime.storage import read_json
from nava.training import stage
from nava.training.adapters import Adapter, weights_sha256
from nava.training.interruption import TrainingStoppedError
from nava.training.run_folder import read_rows
from nava.training.stage import run_stage
from tests.training.composability import COMMON, STEPS, STOP_AT, Combination
from tests.training.latents_in_memory import TINY_MODEL
from tests.training.plain_loop import plain_losses
from tests.training.stage_runs import job_of, run_in

GREEN, REFUSED, UNPROVEN, FAILED = "green", "refused", "unproven", "failed"
START_FILE, ERROR_FILE = "start.safetensors", "error.txt"
# Largest relative difference of a loss from the plain loop's; and how far the averaged weights may lie from the plain
# loop's, as a share of how far those lie from the start.
LOSS, AVERAGE = {"fp32": 1e-5, "bf16": 2e-2}, {"fp32": 1e-4, "bf16": 0.2}


@dataclass(frozen=True)
class Outcome:
    """What became of a combination.

    Attributes:
        state: green, refused, unproven or failed.
        reason: why it is not green.
        loss: largest relative difference of a step's loss from the plain loop's; NaN if it was not run.
        average: distance of the averaged weights from the plain loop's over the latter's distance from the start
            (2-norms); NaN if it was not run.
    """

    state: str
    reason: str = ""
    loss: float = math.nan
    average: float = math.nan


def outcomes(combinations: Iterable[Combination], folder: Path) -> dict[Combination, Outcome]:
    """Run what is neither refused nor beyond this machine, each kind of run once, and judge all of it."""
    settled, tried = {}, []
    for combination in combinations:
        if reason := combination.unproven():
            settled[combination] = Outcome(UNPROVEN, reason)
        elif reason := combination.refusal():
            settled[combination] = Outcome(REFUSED, reason)
        else:
            tried.append(combination)
    if tried:
        _write_start(folder / START_FILE)
        _run(tried, folder)
    return settled | {combination: _judged(combination, folder) for combination in tried}


def _write_start(path: Path) -> None:
    """Weights whose heads are not zero, as those of a new model are: adapters alone would learn nothing under them."""
    model = build_model(TINY_MODEL, seed=1)
    for name in ("head.head.weight", "head_audio.head.weight"):
        nn.init.normal_(model.get_parameter(name), std=0.2, generator=torch.Generator().manual_seed(1))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), path)


def _run(combinations: list[Combination], folder: Path) -> None:
    """A launch for each number of processes, and then for half of it."""
    first: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
    then: dict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
    for combination in combinations:
        run = {"workdir": combination.run, "training": combination.settings}
        if "ranks" in combination.features:
            then[combination.processes // 2][combination.run] = run
            run = run | {"stop_at": STOP_AT}
        first[combination.processes][combination.run] = run
    for launches in (first, then):
        for processes, runs in launches.items():
            done = run_in(processes, folder, list(runs.values()), module=__name__)
            (folder / "log.txt").open("a").write(done.stdout + done.stderr)


def _judged(combination: Combination, folder: Path) -> Outcome:
    workdir = folder / combination.run
    if (workdir / ERROR_FILE).is_file():
        return Outcome(FAILED, (workdir / ERROR_FILE).read_text().strip().splitlines()[-1])
    if not (workdir / "result" / "manifest.json").is_file():
        return Outcome(FAILED, "no result; see log.txt")
    config = combination.config
    losses, average, moved = _expected(folder / START_FILE, json.dumps(combination.settings.get("lora")))
    rows = read_rows(workdir / "metrics.jsonl")
    found = load_file(workdir / "result" / "model.safetensors")
    if [row["step"] for row in rows] != list(range(1, STEPS + 1)) or set(found) != set(average):
        return Outcome(FAILED, "steps or weights are missing")
    if "ranks" in combination.features and read_json(workdir / "timing.json")["first_step"] != STOP_AT + 1:
        return Outcome(FAILED, "it did not go on from its checkpoint")
    loss = max(abs(row["loss"] / wanted - 1) for row, wanted in zip(rows, losses, strict=True))
    apart = _distance(found, average) / moved
    if loss <= LOSS[config.precision] and apart <= AVERAGE[config.precision]:
        return Outcome(GREEN, loss=loss, average=apart)
    return Outcome(FAILED, "it differs from the plain loop", loss, apart)


@cache
def _expected(start_file: Path, lora: str) -> tuple[list[float], dict[str, Tensor], float]:
    """The plain loop's losses, its averaged model with adapters or without, and how far that is from the start."""
    changes = {} if lora == "null" else {"lora": json.loads(lora)}
    job = replace(job_of(Path(), COMMON | changes | {"engine": "plain"}), init=start_file)
    losses, _, average = plain_losses(job)
    start = load_file(start_file)
    if lora != "null":
        adapters = Adapter.of_parameters(job.training.lora, average, weights_sha256(start))
        average = adapters.merged(start)
    moved = _distance(average, start)
    assert moved > 0.1, "training changed nothing: there would be nothing to compare"
    return losses, average, moved


def _distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    return math.sqrt(sum(float((one[name] - value).double().square().sum()) for name, value in other.items()))


def main() -> None:
    """Do the runs of a file."""
    # Inductor would have g++ build kernels for ten minutes a run: blocks become whole graphs, which run as they are.
    stage.compile_model = partial(compile_model, backend="eager")
    for run in json.loads(Path(sys.argv[1]).read_text()):
        workdir = Path(run["workdir"])
        workdir.mkdir(parents=True, exist_ok=True)
        torch._dynamo.reset()
        try:
            job = job_of(workdir, run["training"], run.get("stop_at"))
            run_stage(replace(job, init=workdir.with_name(START_FILE)))
        except TrainingStoppedError as stopped:
            print(f"stopped: {stopped}")
        except Exception as error:
            traceback.print_exc()
            (workdir / ERROR_FILE).write_text(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")


if __name__ == "__main__":
    main()
