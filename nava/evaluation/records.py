"""The lines of ``samples.jsonl``: what was measured on each clip, before anything is averaged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from nava.artifacts.evaluation_result import SampleRecord
from nava.evaluation.evidence import Evidence, Sample
from nava.evaluation.metric import ClipValues
from nava.evaluation.metrics.loss import LossValues
from nava.evaluation.plan import GENERATED, HeldoutClip, Request, family_of

UNDEFINED = {
    "sync": "picture or sound does not change",
    "sync_shuffled": "no other clip of the family whose sound changes",
    "onset_f1": "no event seen or heard",
    "onset_f1_shuffled": "no other clip of the family with an event",
    "frequency_hz": "the clip is silent",
}


def sample_records(evidence: Evidence) -> Iterator[SampleRecord]:
    """One record per sample, in the order of the samples."""
    tables = _score_tables(evidence)
    for sample in evidence.samples:
        request = sample.request
        measures: dict[str, float | None] = {
            "grain": sample.measures.grain,
            "frequency_hz": sample.measures.frequency_hz,
        }
        if request.changed is None:
            scores = tables.get((request.variant, request.family), {})
            measures |= {name: _finite(values.get(request.clip_id)) for name, values in scores.items()}
        shown = _shown(evidence, sample)
        yield SampleRecord(
            sample_id=request.sample_id,
            clip_id=request.clip_id,
            family=request.family,
            variant=request.variant,
            seed=request.seed if request.variant in GENERATED else None,
            prompt=request.prompt,
            changed=_change(request),
            metrics=measures | _correct(sample, shown),
            reasons={name: UNDEFINED[name] for name, value in measures.items() if value is None},
            shown=shown,
        )


def loss_records(losses: LossValues, clips: Mapping[str, HeldoutClip]) -> Iterator[SampleRecord]:
    """One record per clip and model."""
    for variant, by_modality in (("trained_loss", losses.trained), ("untrained_loss", losses.untrained)):
        for clip_id in by_modality["video"]:
            values: dict[str, float | None] = {
                f"loss_{modality}": _finite(of_clip[clip_id]) for modality, of_clip in by_modality.items()
            }
            if variant == "trained_loss":
                values |= _optional("sync_loss_difference", losses.other_sound_minus_own, clip_id)
            clip = clips[clip_id]
            family = family_of(clip.tags)
            yield SampleRecord(f"{clip_id}-{variant}", clip_id, family, variant, None, clip.caption, metrics=values)


def _score_tables(evidence: Evidence) -> dict[tuple[str, str], dict[str, ClipValues]]:
    """By variant and family, each pairwise measure by clip."""
    tables: dict[tuple[str, str], dict[str, ClipValues]] = {}
    variants = dict.fromkeys(sample.request.variant for sample in evidence.samples)
    for family in evidence.families:
        for variant in variants:
            sync = evidence.synchrony(variant, family)
            table: dict[str, ClipValues] = {"sync": sync.paired, "sync_shuffled": sync.shuffled}
            if family.scored:
                onsets = evidence.onsets(variant, family)
                table |= {"onset_f1": onsets.paired, "onset_f1_shuffled": onsets.shuffled}
            tables[variant, family.name] = table
    return tables


def _change(request: Request) -> dict[str, str] | None:
    if request.changed is None:
        return None
    old, new = request.changed
    return {"attribute": request.attribute, "old": old, "new": new}


def _shown(evidence: Evidence, sample: Sample) -> dict[str, str]:
    vocabulary = evidence.vocabulary
    words = {item.name: vocabulary.measured_word(item.name, sample.measures) for item in vocabulary.attributes}
    return {name: word for name, word in words.items() if word is not None}


def _correct(sample: Sample, shown: Mapping[str, str]) -> dict[str, float | None]:
    request = sample.request
    asked = {name: word for name, word in request.words if request.changed is None or name == request.attribute}
    return {f"{name}_correct": float(shown.get(name) == word) for name, word in asked.items()}


def _optional(name: str, values: ClipValues, clip_id: str) -> dict[str, float | None]:
    return {name: _finite(values[clip_id])} if clip_id in values else {}


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
