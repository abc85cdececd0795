"""Synchrony of generated clips, against shuffled sound, the untrained model, and the real clips as the ceiling.

The scored family flashes: its picture is followed by brightness. For the others motion is all that can be said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from nava.artifacts import evaluation_result as names
from nava.evaluation.evidence import ClipScores, Evidence
from nava.evaluation.metric import ClipValues, Metric, difference
from nava.evaluation.plan import CODEC, GUIDED, NO_ALIGN, REAL, UNTRAINED, Family

CORRELATION_PROTOCOL = "corr.brightness-rms.lag1.v1"
MOTION_PROTOCOL = "corr.motion-rms.lag1.v1"
ONSET_PROTOCOL = "onset-f1.brightness-rms.80ms.v1"

Scores = Callable[[str, Family], ClipScores]


def scored_metrics(evidence: Evidence, family: Family) -> list[Metric]:
    """Correlation and onsets of the scored family; the gap of the first is what the gate looks at."""
    correlation = _comparison(evidence.synchrony, family, CORRELATION_PROTOCOL, "r", _own)
    onsets = _comparison(evidence.onsets, family, ONSET_PROTOCOL, "F1", _own)
    return [
        replace(
            _comparison(evidence.synchrony, family, CORRELATION_PROTOCOL, "r", _gap),
            name=names.SYNC_GAP,
            label=f"Synchrony gap, {family.name}",
            description="Correlation of brightness and loudness, with the clip's own sound minus with that of other "
            "clips. 0: picture and sound know nothing of each other.",
            primary=True,
        ),
        replace(
            correlation,
            name=names.SYNC,
            label=f"Synchrony, {family.name}",
            description="Correlation of brightness and loudness over time, best lag of at most one frame.",
            shuffled=lambda: evidence.synchrony(GUIDED, family).shuffled,
        ),
        *_align_guidance(evidence, family, correlation),
        replace(
            _comparison(evidence.onsets, family, ONSET_PROTOCOL, "F1", _gap),
            name=names.ONSET_F1_GAP,
            label=f"Onset gap, {family.name}",
            description="F1 of events seen and heard within 80 ms of each other, with the clip's own sound minus with "
            "that of other clips.",
        ),
        replace(
            onsets,
            name=names.ONSET_F1,
            label=f"Onsets, {family.name}",
            description="F1 of events seen and heard within 80 ms of each other, matched one to one.",
            shuffled=lambda: evidence.onsets(GUIDED, family).shuffled,
        ),
    ]


def other_metric(evidence: Evidence, family: Family) -> Metric:
    """The gap of a family that is not scored."""
    return replace(
        _comparison(evidence.synchrony, family, MOTION_PROTOCOL, "r", _gap),
        name=names.other_gap(family.name),
        label=f"Synchrony gap, {family.name}",
        description="Correlation of motion and loudness, with the clip's own sound minus with that of other clips.",
    )


def _align_guidance(evidence: Evidence, family: Family, correlation: Metric) -> list[Metric]:
    """What alignment guidance adds, paired by clip and noise, and the gap without it."""

    def gap(variant: str) -> dict[str, float]:
        return evidence.synchrony(variant, family).gap

    unreferenced = replace(correlation, untrained=None, codec=None, real=None)
    return [
        replace(
            unreferenced,
            name=names.ALIGN_GAIN,
            label="Alignment guidance, on minus off",
            description="What alignment guidance adds to the synchrony gap; same prompts, same noise.",
            values=lambda: difference(gap(GUIDED), gap(NO_ALIGN)),
        ),
        replace(
            unreferenced,
            name=names.SYNC_GAP_NO_ALIGN,
            label=f"Synchrony gap, {family.name}, alignment guidance off",
            description="The synchrony gap without alignment guidance.",
            variant=NO_ALIGN,
            values=lambda: gap(NO_ALIGN),
            untrained=lambda: gap(UNTRAINED),
        ),
    ]


def _comparison(
    scores: Scores, family: Family, protocol: str, unit: str, read: Callable[[ClipScores], ClipValues]
) -> Metric:
    """What the metrics of a family share: where the values of each variant come from."""
    return Metric(
        name="",
        label="",
        description="",
        protocol=protocol,
        backend="nava.evaluation.synchrony",
        unit=unit,
        needs=f"held-out clips of the family '{family.name}'",
        family=family.name,
        variant=GUIDED,
        values=lambda: read(scores(GUIDED, family)),
        untrained=lambda: read(scores(UNTRAINED, family)),
        codec=lambda: read(scores(CODEC, family)),
        real=lambda: read(scores(REAL, family)),
    )


def _gap(scores: ClipScores) -> ClipValues:
    return scores.gap


def _own(scores: ClipScores) -> ClipValues:
    return scores.paired
