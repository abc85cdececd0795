"""What happens at which step, as pure functions: learning rate and EMA decay.

A resumed run asks the same questions with the same step numbers and so goes on as if it had never stopped.
"""

import math

from nava.config.training import TrainingConfig


def steps_before(config: TrainingConfig, stage: int) -> int:
    """Optimizer steps of the stages before `stage` (1, 2 or 3)."""
    return sum(before.steps for before in config.stages()[: stage - 1])


def learning_rate(config: TrainingConfig, stage: int, step: int) -> float:
    """Learning rate of optimizer step `step` (from 0) of `stage`.

    One schedule over all stages (embedded-facts, section 0): constant, then from `constant_share` of all steps on a
    cosine down to `final_learning_rate_ratio`. A short linear warm-up begins each stage, whose optimizer is fresh.
    A stage that is made longer than the recipe's (`--max-steps`) keeps the rate of the recipe's last step.
    """
    total = sum(part.steps for part in config.stages())
    global_step = steps_before(config, stage) + min(step, config.stages()[stage - 1].steps - 1)
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
