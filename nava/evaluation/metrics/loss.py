"""Held-out losses of the trained and the untrained model on the same noise, and what the right sound is worth."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nava.artifacts import evaluation_result as names
from nava.evaluation.metric import ClipValues, Metric, difference

LOSS_PROTOCOL = "velocity-mse.fixed-noise.v1"


@dataclass(frozen=True)
class LossValues:
    """Per clip, the mean squared velocity error over the noise levels.

    ``trained`` and ``untrained`` map "video" and "audio" to values; ``other_sound_minus_own`` is the trained model's
    video error with another clip's sound minus with the clip's own.
    """

    trained: dict[str, ClipValues]
    untrained: dict[str, ClipValues]
    other_sound_minus_own: ClipValues


def loss_metrics(losses: LossValues) -> list[Metric]:
    """The gains (primary), the losses themselves, and the use of the sound."""
    template = Metric(
        name="",
        label="",
        description="",
        protocol=LOSS_PROTOCOL,
        backend="nava.training.validation",
        unit="MSE",
        values=dict,
        needs="held-out clips with picture and sound",
    )
    gains = (("video", names.VALIDATION_GAIN_VIDEO), ("audio", names.VALIDATION_GAIN_AUDIO))
    totals = (("video", names.VALIDATION_VIDEO), ("audio", names.VALIDATION_AUDIO))
    return [
        *(_gain(template, name, modality, losses) for modality, name in gains),
        *(_loss(template, name, modality, losses) for modality, name in totals),
        replace(
            template,
            name=names.SYNC_LOSS,
            label="What the right sound is worth",
            description="Video error with another clip's sound minus with the clip's own, without sampling. "
            "Above 0: the picture follows the sound.",
            values=lambda: losses.other_sound_minus_own,
        ),
    ]


def _gain(template: Metric, name: str, modality: str, losses: LossValues) -> Metric:
    return replace(
        template,
        name=name,
        label=f"Validation loss, {modality}: untrained minus trained",
        description=f"How far the {modality} error fell; same clips, same noise.",
        values=lambda: difference(losses.untrained[modality], losses.trained[modality]),
        primary=True,
    )


def _loss(template: Metric, name: str, modality: str, losses: LossValues) -> Metric:
    return replace(
        template,
        name=name,
        label=f"Validation loss, {modality}",
        description=f"Mean squared error of the {modality} velocity on held-out clips at fixed noise levels.",
        direction="lower",
        values=lambda: losses.trained[modality],
        untrained=lambda: losses.untrained[modality],
    )
