"""Learning rate and moving average as functions of the step."""

from itertools import pairwise

import pytest

from nava.config.training import StageConfig, TrainingConfig
from nava.training.schedule import ema_decay, learning_rate, steps_before

# Sizes of its own: the recipe's may change without changing the schedule.
CONFIG = TrainingConfig(
    stage1=StageConfig(450, 3, 1, 50), stage2=StageConfig(850, 1, 2, 20), stage3=StageConfig(950, 0, 1, 20)
)


def all_rates(config: TrainingConfig) -> list[float]:
    return [
        learning_rate(config, number, step)
        for number, stage in enumerate(config.stages(), start=1)
        for step in range(stage.steps)
    ]


def test_stages_follow_each_other() -> None:
    assert [steps_before(CONFIG, stage) for stage in (1, 2, 3)] == [0, 450, 1300]


def test_the_rate_is_constant_then_falls_to_the_final_ratio() -> None:
    rates = all_rates(CONFIG)
    total = len(rates)
    assert rates[60:440] == [CONFIG.learning_rate] * 380
    assert rates[int(0.59 * total)] == CONFIG.learning_rate
    decaying = rates[int(0.6 * total) + 25 :]
    assert all(before > after for before, after in pairwise(decaying))
    assert rates[-1] == pytest.approx(CONFIG.learning_rate * CONFIG.final_learning_rate_ratio, rel=1e-3)


def test_half_way_down_the_cosine_is_the_mean_of_both_ends() -> None:
    config = TrainingConfig(
        stage1=StageConfig(100, 1, 1, 0), stage2=StageConfig(100, 1, 1, 0), stage3=StageConfig(800, 0, 1, 0)
    )
    middle = config.learning_rate * (1 + config.final_learning_rate_ratio) / 2
    assert learning_rate(config, 3, 600) == pytest.approx(middle)


def test_every_stage_warms_up() -> None:
    for stage, warmup in ((1, 50), (2, 20)):
        rates = [learning_rate(CONFIG, stage, step) for step in range(warmup + 1)]
        assert rates[0] == pytest.approx(CONFIG.learning_rate / warmup)
        assert rates[warmup // 2 - 1] == pytest.approx(CONFIG.learning_rate / 2)
        assert rates[warmup - 1] == rates[warmup] == CONFIG.learning_rate
    assert learning_rate(CONFIG, 3, 0) == pytest.approx(CONFIG.learning_rate / 20, rel=1e-3)


def test_no_warm_up_and_no_decay_are_possible() -> None:
    flat = StageConfig(steps=5, audio_only=1, audio_video=1, warmup_steps=0)
    config = TrainingConfig(stage1=flat, stage2=flat, stage3=flat, constant_share=1.0)
    assert all_rates(config) == [config.learning_rate] * 15


def test_the_average_forgets_its_start_at_first_and_spans_stages() -> None:
    assert ema_decay(CONFIG, 1, 0) == pytest.approx(0.1)
    assert ema_decay(CONFIG, 1, 89) == pytest.approx(90 / 99)
    assert ema_decay(CONFIG, 2, 0) == pytest.approx(451 / 460)
    assert ema_decay(CONFIG, 3, 900) == CONFIG.ema_decay


@pytest.mark.parametrize("stage", [1, 2, 3])
def test_a_stage_made_longer_keeps_the_rate_of_the_recipes_last_step(stage: int) -> None:
    last = CONFIG.stages()[stage - 1].steps - 1
    assert learning_rate(CONFIG, stage, last + 1000) == learning_rate(CONFIG, stage, last)
    assert learning_rate(CONFIG, stage, last - 1) >= learning_rate(CONFIG, stage, last)
