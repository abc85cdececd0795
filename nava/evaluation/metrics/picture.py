"""What can be said of the picture without a learned judge: how much still parts flicker."""

from __future__ import annotations

from functools import partial

from nava.artifacts import evaluation_result as names
from nava.evaluation.evidence import Evidence
from nava.evaluation.metric import ClipValues, Metric
from nava.evaluation.plan import CODEC, GUIDED, REAL, UNTRAINED, Family


def grain_metric(evidence: Evidence, family: Family) -> Metric:
    """Grain of a family's pictures. It says nothing of content: a black picture has none."""

    def grain(variant: str) -> ClipValues:
        return {clip: sample.measures.grain for clip, sample in evidence.of(variant, family.name).items()}

    return Metric(
        name=names.GRAIN,
        label=f"Grain, {family.name}",
        description="Flicker of what should stand still: median over pixels of the mean change from frame to frame.",
        protocol="grain.median-flicker.v1",
        backend="nava.evaluation.measures",
        unit="grey levels",
        direction="lower",
        needs=f"held-out clips of the family '{family.name}'",
        family=family.name,
        variant=GUIDED,
        values=partial(grain, GUIDED),
        untrained=partial(grain, UNTRAINED),
        codec=partial(grain, CODEC),
        real=partial(grain, REAL),
    )
