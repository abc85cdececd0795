"""What of the training engine is combined with what: every pair of its features, and some threes and fours.

`docs/composability.md` is made of this list by `python -m tests.training.composability_table`.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from nava.config.training import TrainingConfig
from nava.runtime.errors import InputError
from nava.training.deepspeed_engine import check_combination
from nava.training.world import World
from tests.training.stage_runs import job_of

STEPS, STOP_AT = 6, 3
# So few steps would hardly move a moving average with the recipe's decay.
COMMON: dict[str, Any] = {"stage2": {"steps": STEPS, "warmup_steps": 1}, "ema_decay": 0.7}
# By feature: how the table calls it, and what it sets.
FEATURES: dict[str, tuple[str, dict[str, Any]]] = {
    "zero0": ("ZeRO 0", {"zero_stage": 0}),
    "zero1": ("ZeRO 1", {"zero_stage": 1}),
    "zero2": ("ZeRO 2", {"zero_stage": 2}),
    "zero3": ("ZeRO 3", {"zero_stage": 3}),
    "ulysses": ("Ulysses 2", {"sequence_parallel": 2}),
    "checkpointing": ("activation checkpointing", {"activation_checkpointing": True}),
    "compile": ("compile", {"compile": True}),
    "lora": ("LoRA", {"lora": {"rank": 2, "alpha": 4.0, "targets": ["q", "k", "v", "o", "q_audio", "v_audio", "0"]}}),
    "ema": ("moving average", {}),
    "ranks": ("half the ranks", {}),
    "bf16": ("bf16", {"precision": "bf16"}),
    "gpu": ("GPUs (NCCL)", {}),
}
LARGER = (
    ("zero2", "lora", "bf16"),
    ("zero3", "lora", "bf16"),
    ("zero3", "lora", "ranks"),
    ("zero2", "ulysses", "bf16"),
    ("zero3", "ulysses", "ranks"),
    ("zero2", "checkpointing", "compile"),
    ("zero2", "compile", "bf16"),
    ("zero3", "checkpointing", "bf16"),
    ("zero3", "ulysses", "checkpointing", "lora"),
    ("zero2", "ulysses", "checkpointing", "lora", "bf16", "ranks"),
)


@dataclass(frozen=True)
class Combination:
    """Features that are switched on together."""

    features: tuple[str, ...]

    @property
    def title(self) -> str:
        """As the table calls it."""
        return " + ".join(FEATURES[feature][0] for feature in self.features)

    @property
    def settings(self) -> dict[str, Any]:
        """What it changes in the recipe of `stage_runs`; under ZeRO 1 unless it names another."""
        changes = COMMON | {"zero_stage": 1}
        for feature in self.features:
            changes |= FEATURES[feature][1]
        return changes

    @property
    def processes(self) -> int:
        """Two, or four that become two where both a group of neighbours and a change of ranks need them."""
        return 4 if {"ulysses", "ranks"} <= set(self.features) else 2

    @property
    def run(self) -> str:
        """Name of the run that shows it; the moving average is looked at in every run."""
        shown = [feature for feature in self.features if feature not in ("ema", "gpu")]
        settled = shown if any(feature.startswith("zero") for feature in shown) else ["zero1", *shown]
        return "-".join(settled)

    @property
    def config(self) -> TrainingConfig:
        """The recipe."""
        return job_of(Path(), self.settings).training

    def refusal(self) -> str:
        """Why training refuses it, or nothing."""
        try:
            self.config.check()
            World(size=self.processes, sequence_parallel=self.config.sequence_parallel).check(self.config)
            check_combination(self.config)
        except InputError as error:
            return str(error)
        return ""

    def unproven(self) -> str:
        """Why it cannot be tried here, or nothing."""
        return "needs at least two GPUs; the tests run on CPUs with gloo" if "gpu" in self.features else ""


def declared() -> list[Combination]:
    """All pairs of features that do not exclude each other, then the larger ones."""
    pairs = [pair for pair in combinations(FEATURES, 2) if not all(feature.startswith("zero") for feature in pair)]
    return [Combination(features) for features in (*pairs, *LARGER)]
