"""The evaluation result: per-sample values, a summary with confidence intervals, and a few clips to look at.

A directory; nothing in it depends on time, path or machine, so its hash is a function of what was evaluated:

- ``samples.jsonl``: one `SampleRecord` per line, see there.
- ``clips/*.mp4``: the gallery.
- ``summary.json``, written last (a directory without it is not a result)::

    {"schema_version": 1,
     "protocol": "nava.embedded-eval.v1",      # fixes tracks, tolerances, resampling; only equal protocols compare
     "seed": 7,                                # of the noise and of the bootstrap
     "checkpoint": {"sha256", "weights_sha256"},   # what was evaluated
     "shards_sha256": "...",
     "sampler": {"solver", "steps", "shift"},
     "variants": [{"name", "label", "guidance": {"video": {"text", "align", "timbre"}, "audio": {...}} | null}],
         # name: guided | no_align | untrained | codec | real; guidance is null for the last two
     "families": [{"name", "split", "available", "evaluated", "scored"}],   # clips there are / used
         # split: "heldout", or "train" where the corpus is too small to hold clips out: then nothing is primary
     "metrics": [MetricEntry],                 # in the order of the page; skipped ones included, with the reason
     "statements": [{"family", "learned", "text"}],   # learned: true | false | null (not measured)
     "gallery": [{"path", "prompt", "seed", "variant", "family", "clip_id", "note"}]}
         # path relative to the result's directory

A `MetricEntry` (all keys are always present)::

    {"name": "av_sync_flash_gap",              # unique
     "label": "Synchrony gap, flash",          # for people
     "description": "one sentence: what is measured and how to read it",
     "protocol": "corr.brightness-rms.lag1.v1",
     "backend": "nava.evaluation.synchrony",   # what produced the number
     "backend_sha256": null,                   # of its weights; null: it has none
     "family": "flash" | null, "variant": "guided" | null,
     "unit": "r", "direction": "higher" | "lower",
     "status": "ok" | "skipped", "reason": "" | "why it was skipped",
     "primary": true,                          # the gate looks at it
     "value", "ci_low", "ci_high", "n",        # null when skipped; 95 % interval: bootstrap, or Wilson for shares
     "eligible": 32, "coverage": 1.0,          # n / eligible
     "chance": 0.25 | null,                    # what guessing gets
     "baseline_untrained", "baseline_shuffled", "reference_codec", "reference_real":
         null | {"value", "ci_low", "ci_high", "n"}}

Names that others rely on are the constants below. The gate (`nava.registry`) asks `EvaluationResult.primary()` and
compares ``ci_low``; the page shows everything else as it stands.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from nava.runtime.hashing import canonical_json
from nava.runtime.storage import read_json, write_json, write_text

SCHEMA_VERSION = 1
KIND = "evaluation_result"
SUMMARY = "summary.json"
SAMPLES = "samples.jsonl"
CLIPS = "clips"

SYNC = "av_sync_flash"
SYNC_GAP = "av_sync_flash_gap"
ONSET_F1 = "av_onset_f1_flash"
ONSET_F1_GAP = "av_onset_f1_flash_gap"
SYNC_GAP_NO_ALIGN = "av_sync_flash_gap_no_align"
ALIGN_GAIN = "av_sync_flash_align_gain"
VALIDATION_VIDEO = "validation_loss_video"
VALIDATION_AUDIO = "validation_loss_audio"
VALIDATION_GAIN_VIDEO = "validation_loss_gain_video"
VALIDATION_GAIN_AUDIO = "validation_loss_gain_audio"
SYNC_LOSS = "sync_loss_difference"
TEXT_COLOUR = "text_colour_accuracy"
TEXT_PITCH = "text_pitch_accuracy"
SWAP_COLOUR = "text_colour_swap"
SWAP_PITCH = "text_pitch_swap"
GRAIN = "picture_grain"


def other_gap(family: str) -> str:
    """Name of the synchrony gap of a family that is not the scored one; its track is motion, not brightness."""
    return f"av_envelope_corr_{family}_gap"


@dataclass(frozen=True)
class Estimate:
    """A mean (or share) over ``n`` clips with its 95 % confidence interval."""

    value: float
    ci_low: float
    ci_high: float
    n: int


@dataclass(frozen=True)
class MetricEntry:
    """One row of the metrics table; the keys are explained in the module's docstring."""

    name: str
    label: str
    description: str
    protocol: str
    backend: str
    direction: str
    unit: str
    status: str
    eligible: int
    reason: str = ""
    family: str | None = None
    variant: str | None = None
    primary: bool = False
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int | None = None
    coverage: float | None = None
    chance: float | None = None
    backend_sha256: str | None = None
    baseline_untrained: Estimate | None = None
    baseline_shuffled: Estimate | None = None
    reference_codec: Estimate | None = None
    reference_real: Estimate | None = None

    def __post_init__(self) -> None:
        if self.status not in ("ok", "skipped"):
            raise ValueError(f"metric {self.name}: status is 'ok' or 'skipped', not {self.status!r}")
        if self.direction not in ("higher", "lower"):
            raise ValueError(f"metric {self.name}: direction is 'higher' or 'lower', not {self.direction!r}")
        if self.status == "skipped" and not self.reason:
            raise ValueError(f"metric {self.name}: a skipped metric says why")
        numbers = (self.value, self.ci_low, self.ci_high, self.n)
        if self.status == "ok" and any(number is None or not math.isfinite(number) for number in numbers):
            raise ValueError(f"metric {self.name}: a measured metric has a finite value, interval and n")

    @property
    def measured(self) -> bool:
        """Whether the metric has a value."""
        return self.status == "ok"

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> MetricEntry:
        """The inverse of ``dataclasses.asdict``."""
        fields = dict(data)
        for key in ("baseline_untrained", "baseline_shuffled", "reference_codec", "reference_real"):
            fields[key] = Estimate(**fields[key]) if fields.get(key) else None
        return cls(**fields)


@dataclass(frozen=True)
class SampleRecord:
    """One clip of one variant, with its measures; null never becomes 0.

    ``changed`` names the caption word that differs from the clip's own caption (`{"attribute", "old", "new"}`) in a
    word-swap sample. ``shown`` says by attribute which word the clip comes nearest to. ``reasons`` says for each null
    in ``metrics`` why. The measures, by variant:

    - clips (``guided``, ``no_align``, ``untrained``, ``real``, ``codec``): ``sync`` and ``sync_shuffled`` (r, with the
      clip's own sound and the mean over other clips' sounds), ``onset_f1`` and ``onset_f1_shuffled`` (scored family),
      ``grain`` (grey levels), ``frequency_hz``; ``colour_correct`` and ``pitch_correct`` (0 or 1) where the caption
      names one, in a word-swap sample for the changed word.
    - losses (``trained_loss``, ``untrained_loss``): ``loss_video``, ``loss_audio`` (MSE), and for the trained model
      ``sync_loss_difference``. They have no seed.
    """

    sample_id: str
    clip_id: str
    family: str
    variant: str
    seed: int | None
    prompt: str
    changed: dict[str, str] | None = None
    metrics: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    shown: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class GalleryClip:
    """A clip to look at; ``path`` is relative to the result's directory."""

    path: str
    prompt: str
    seed: int | None
    variant: str
    family: str
    clip_id: str
    note: str = ""


@dataclass(frozen=True)
class Statement:
    """What was or was not learned, in plain language."""

    family: str
    learned: bool | None
    text: str


@dataclass(frozen=True)
class EvaluationResult:
    """``summary.json``, typed."""

    protocol: str
    seed: int
    checkpoint: dict[str, str]
    shards_sha256: str
    sampler: dict[str, Any]
    variants: list[dict[str, Any]]
    families: list[dict[str, Any]]
    metrics: list[MetricEntry]
    statements: list[Statement]
    gallery: list[GalleryClip]
    schema_version: int = SCHEMA_VERSION

    def __post_init__(self) -> None:
        names = [metric.name for metric in self.metrics]
        if len(set(names)) != len(names):
            raise ValueError(f"metric names repeat: {sorted({name for name in names if names.count(name) > 1})}")

    def metric(self, name: str) -> MetricEntry | None:
        """The metric called ``name``, or None."""
        return next((metric for metric in self.metrics if metric.name == name), None)

    def primary(self) -> list[MetricEntry]:
        """The metrics a gate decides on, measured or not: a skipped one must not pass for a good one."""
        return [metric for metric in self.metrics if metric.primary]

    def headline(self) -> dict[str, dict[str, float | None]]:
        """The primary metrics in a few numbers, for logs and handles."""
        return {
            metric.name: {"value": metric.value, "ci_low": metric.ci_low, "ci_high": metric.ci_high, "n": metric.n}
            for metric in self.primary()
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> EvaluationResult:
        """The inverse of `to_dict`. ValueError for another version."""
        if data.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(
                f"evaluation result has schema version {data.get('schema_version')!r}; this code reads {SCHEMA_VERSION}"
            )
        fields = dict(data)
        fields["metrics"] = [MetricEntry.from_dict(metric) for metric in data["metrics"]]
        fields["statements"] = [Statement(**statement) for statement in data["statements"]]
        fields["gallery"] = [GalleryClip(**clip) for clip in data["gallery"]]
        return cls(**fields)


def write(directory: Path, result: EvaluationResult, samples: Iterable[SampleRecord]) -> None:
    """Write ``samples.jsonl``, then ``summary.json``, each atomically. FileNotFoundError for a missing gallery clip."""
    for clip in result.gallery:
        if not (directory / clip.path).is_file():
            raise FileNotFoundError(f"the gallery names {clip.path}, which is not in {directory}")
    write_text(directory / SAMPLES, "".join(canonical_json(asdict(sample)) + "\n" for sample in samples))
    write_json(directory / SUMMARY, result.to_dict())


def read(directory: Path) -> EvaluationResult:
    """Read ``summary.json``. FileNotFoundError when the directory is not a complete result."""
    return EvaluationResult.from_dict(read_json(directory / SUMMARY))


def read_samples(directory: Path) -> Iterator[SampleRecord]:
    """The lines of ``samples.jsonl``, in order."""
    with (directory / SAMPLES).open(encoding="utf-8") as lines:
        for line in lines:
            yield SampleRecord(**json.loads(line))
