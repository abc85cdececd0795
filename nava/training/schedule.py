"""What happens at which step, as pure functions: learning rate, EMA decay, the order of modalities.

A resumed run asks the same questions with the same step numbers and so goes on as if it had never stopped.
"""

import hashlib
import math
from typing import Literal

import torch

from nava.config.training import StageConfig, TrainingConfig

Modality = Literal["audio", "av"]


def derived_seed(*parts: int | str) -> int:
    """A seed in [0, 2^63) that depends on all `parts`, equal on every machine."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator_for(*parts: int | str) -> torch.Generator:
    """A CPU generator seeded from `parts`."""
    return torch.Generator().manual_seed(derived_seed(*parts))


def steps_before(config: TrainingConfig, stage: int) -> int:
    """Optimizer steps of the stages before `stage` (1, 2 or 3)."""
    return sum(before.steps for before in config.stages()[: stage - 1])


def learning_rate(config: TrainingConfig, stage: int, step: int) -> float:
    """Learning rate of optimizer step `step` (from 0) of `stage`.

    One schedule over all stages (embedded-facts, section 0): constant, then from `constant_share` of all steps on a
    cosine down to `final_learning_rate_ratio`. A short linear warm-up begins each stage, whose optimizer is fresh.
    """
    total = sum(part.steps for part in config.stages())
    global_step = steps_before(config, stage) + step
    decay_from = config.constant_share * total
    progress = min(1.0, max(0.0, (global_step - decay_from) / max(1.0, total - decay_from)))
    floor = config.final_learning_rate_ratio
    cosine = floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
    warmup = min(1.0, (step + 1) / max(1, config.stages()[stage - 1].warmup_steps))
    return config.learning_rate * cosine * warmup


def ema_decay(config: TrainingConfig, stage: int, step: int) -> float:
    """Share of the old average kept at optimizer step `step` of `stage`; rises with the steps of all stages."""
    done = steps_before(config, stage) + step
    return min(config.ema_decay, (done + 1) / (done + 10))


def modality_of(stage: StageConfig, seed: int, stage_number: int, micro_step: int) -> tuple[Modality, int]:
    """The modality of a micro-batch, and how many of that modality came before it in the stage.

    The ratio is exact over every audio_only + audio_video micro-batches; within them the order is drawn from the seed.
    """
    length = stage.audio_only + stage.audio_video
    block, place = divmod(micro_step, length)
    order = torch.randperm(length, generator=generator_for(seed, stage_number, "modality", block)).tolist()
    is_audio = [slot < stage.audio_only for slot in order]
    if is_audio[place]:
        return "audio", block * stage.audio_only + sum(is_audio[:place])
    return "av", block * stage.audio_video + place - sum(is_audio[:place])
