"""All metrics, in the order of the page."""

from __future__ import annotations

from nava.evaluation.evidence import Evidence
from nava.evaluation.metric import Metric
from nava.evaluation.metrics.loss import LossValues, loss_metrics
from nava.evaluation.metrics.picture import grain_metric
from nava.evaluation.metrics.synchrony import other_metric, scored_metrics
from nava.evaluation.metrics.text import text_metrics
from nava.evaluation.plan import SCORED_FAMILY, Family


def all_metrics(evidence: Evidence, losses: LossValues) -> list[Metric]:
    """Every metric, also those that lack clips: they say so when they are evaluated."""
    scored = evidence.scored or Family(SCORED_FAMILY, 0, (), scored=True)
    shown = evidence.families[0] if evidence.families else scored
    return [
        *scored_metrics(evidence, scored),
        *text_metrics(evidence, scored),
        *loss_metrics(losses),
        *(other_metric(evidence, family) for family in evidence.families if not family.scored),
        grain_metric(evidence, shown),
    ]
