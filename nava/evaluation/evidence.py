"""Everything the metrics look at: the measures of every clip, by variant and family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nava.evaluation.measures import Measures
from nava.evaluation.plan import Family, Request
from nava.evaluation.synchrony import PairedScores, correlation_scores, onset_scores
from nava.evaluation.vocabulary import Vocabulary


@dataclass(frozen=True)
class Sample:
    """A clip that was asked for, and what was measured on it."""

    request: Request
    measures: Measures


@dataclass(frozen=True)
class ClipScores:
    """Paired and shuffled scores by clip id."""

    clip_ids: tuple[str, ...]
    scores: PairedScores

    @property
    def paired(self) -> dict[str, float]:
        """With the clip's own sound."""
        return self._by_clip(self.scores.paired)

    @property
    def shuffled(self) -> dict[str, float]:
        """With the sound of the others."""
        return self._by_clip(self.scores.shuffled)

    @property
    def gap(self) -> dict[str, float]:
        """Paired minus shuffled."""
        return self._by_clip(self.scores.gap)

    def _by_clip(self, values: np.ndarray) -> dict[str, float]:
        return dict(zip(self.clip_ids, values.tolist()))


class Evidence:
    """Samples by variant and family; scores that compare clips with each other are computed once."""

    def __init__(self, families: Sequence[Family], samples: Sequence[Sample], vocabulary: Vocabulary, fps: int) -> None:
        self.families = tuple(families)
        self.samples = tuple(samples)
        self.vocabulary = vocabulary
        self._fps = fps
        self._scores: dict[tuple[str, str, str], ClipScores] = {}

    @property
    def scored(self) -> Family | None:
        """The scored family, if the corpus has it."""
        return next((family for family in self.families if family.scored), None)

    def of(self, variant: str, family: str) -> dict[str, Sample]:
        """By clip id, the samples of a variant with the clips' own captions."""
        return {
            sample.request.clip_id: sample
            for sample in self.samples
            if (sample.request.variant, sample.request.family) == (variant, family) and sample.request.changed is None
        }

    def swaps(self, attribute: str) -> list[Sample]:
        """The samples with one word of an attribute changed."""
        return [sample for sample in self.samples if sample.request.changed and sample.request.attribute == attribute]

    def synchrony(self, variant: str, family: Family) -> ClipScores:
        """Correlation of the visual track with the sound's envelope."""
        return self._paired("correlation", variant, family)

    def onsets(self, variant: str, family: Family) -> ClipScores:
        """F1 of onsets seen and heard."""
        return self._paired("onsets", variant, family)

    def _paired(self, kind: str, variant: str, family: Family) -> ClipScores:
        key = (kind, variant, family.name)
        if key not in self._scores:
            clips = {clip: sample.measures for clip, sample in self.of(variant, family.name).items()}
            visual_NT = np.array([measures.visual(family.scored) for measures in clips.values()])
            envelope_NT = np.array([measures.envelope for measures in clips.values()])
            scores = (
                correlation_scores(visual_NT, envelope_NT)
                if kind == "correlation"
                else onset_scores(visual_NT, envelope_NT, self._fps)
            )
            self._scores[key] = ClipScores(tuple(clips), scores)
        return self._scores[key]
