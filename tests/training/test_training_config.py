"""Settings of training that no run could use are refused by name."""

from dataclasses import asdict, replace

import pytest
from omegaconf import OmegaConf

from nava.config.training import StageConfig, TrainingConfig
from nava.runtime.errors import InputError

STAGE = StageConfig(steps=5, audio_only=1, audio_video=1, warmup_steps=1)


def test_the_defaults_are_the_papers_ratios_and_dropouts() -> None:
    config = TrainingConfig()
    config.check()
    assert [(stage.audio_only, stage.audio_video) for stage in config.stages()] == [(3, 1), (1, 2), (0, 1)]
    assert {(stage.text_dropout, stage.modality_masking) for stage in config.stages()} == {(0.1, 0.2)}


def test_it_goes_through_omegaconf_unchanged() -> None:
    restored = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainingConfig), asdict(TrainingConfig())))
    assert restored == TrainingConfig()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"engine": "fsdp"}, "training.engine is 'fsdp'; it must be deepspeed or plain"),
        ({"zero_stage": 4}, "training.zero_stage is 4; it must be 0, 1, 2 or 3"),
        (
            {"engine": "plain", "precision": "bf16"},
            "training.precision is 'bf16'; it must be fp32, since training.engine is plain",
        ),
        ({"first_stage": 4}, "training.first_stage is 4; it must be from 1 to 3"),
        ({"threads": 0}, "training.threads is 0; it must be at least 1"),
        ({"micro_batch_size": 0}, "training.micro_batch_size"),
        ({"micro_batches_per_step": -1}, "training.micro_batches_per_step"),
        ({"checkpoint_every_steps": 0}, "training.checkpoint_every_steps"),
        ({"keep_checkpoints": 0}, "training.keep_checkpoints"),
        (
            {"keep_best_checkpoints": 1, "validate_every_steps": 7, "checkpoint_every_steps": 150},
            "training.validate_every_steps is 7; it must be a multiple or a divisor of checkpoint_every_steps (150)",
        ),
        ({"learning_rate": 0.0}, "training.learning_rate is 0.0; it must be above 0"),
        ({"learning_rate": float("nan")}, "training.learning_rate is nan"),
        ({"gradient_clip": -1.0}, "training.gradient_clip"),
        ({"constant_share": 1.5}, "training.constant_share"),
        ({"ema_decay": 1.0}, "training.ema_decay is 1.0; it must be from 0 to below 1"),
        ({"validation_sigmas": []}, "training.validation_sigmas"),
        ({"validation_sigmas": [0.5, 1.0]}, "training.validation_sigmas"),
        ({"validation_sigmas": [0.5, 0.5]}, "training.validation_sigmas"),
        ({"stage2": replace(STAGE, steps=0)}, "training.stage2.steps is 0"),
        (
            {"stage3": replace(STAGE, audio_only=0, audio_video=0)},
            "training.stage3.audio_only : audio_video is '0 : 0'",
        ),
        ({"stage3": replace(STAGE, audio_only=-1)}, "training.stage3"),
        ({"stage1": replace(STAGE, text_dropout=1.1)}, "training.stage1.text_dropout is 1.1"),
        ({"stage1": replace(STAGE, modality_masking=-0.1)}, "training.stage1.modality_masking"),
        ({"stage1": replace(STAGE, warmup_steps=-1)}, "training.stage1.warmup_steps"),
    ],
)
def test_bad_values_are_named(changes: dict, message: str) -> None:
    with pytest.raises(InputError) as caught:
        TrainingConfig(**changes).check()
    assert message in str(caught.value)
