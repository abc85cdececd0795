"""What runs once a GPU is lent goes its whole way here with a tiny model."""

import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import pytest

from benchmarks import training_gpu
from benchmarks.training_gpu import DOES_NOT_FIT, Case, largest


def test_whole_steps_are_measured() -> None:
    case = Case(1, 2, activation_checkpointing=True, compiled=False, steps=2, tiny=True)
    # A process of its own, as in the benchmark: DeepSpeed leaves its process group behind.
    command = [sys.executable, training_gpu.__file__, "--case", json.dumps(asdict(case))]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["parameters"] > 500_000
    assert found["step_s"] > 0
    assert found["tflops"] > 0


def test_the_largest_stack_that_fits_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], **_: Any) -> "subprocess.CompletedProcess[str]":
        case = json.loads(command[-1])
        fits = case["alignment_layers"] + case["fusion_layers"] <= 18
        return subprocess.CompletedProcess(command, 0 if fits else DOES_NOT_FIT, 'words\n{"mfu": 0.5}\n')

    monkeypatch.setattr(training_gpu.subprocess, "run", run)
    found = largest(checkpointing=True, compiled=False, steps=8, tiny=False)
    assert (found["alignment_layers"], found["fusion_layers"], found["mfu"]) == (6, 12, 0.5)
    assert found["layers_too_many"] == [30, 24]
