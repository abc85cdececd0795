"""What the page of a run shows, as plain values: whoever writes a page fills these from the store and the artifacts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

RunState = Literal["running", "succeeded", "gate_failed", "failed"]
StepState = Literal["pending", "running", "succeeded", "failed", "gate_failed", "interrupted", "skipped"]
ALL_SECTIONS = (
    "pipeline", "sources", "corpus", "training", "clips", "metrics", "gates", "registry", "record", "next",
)  # fmt: skip
ClipKind = Literal["generated", "untrained", "codec", "real", "served"]


@dataclass(frozen=True)
class Estimate:
    """A value over `n` items with its 95 % confidence interval `low`..`high`."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class StepFacts:
    """One step of the pipeline.

    Attributes:
        name: the step's name; `depends_on` names others.
        seconds: wall time; of this run, so a reused step takes little.
        cached: the result existed and was reused.
        error: message of the failure, for a person.
        log_href: the log, relative to the page.
        key: the step's identity.
    """

    name: str
    state: StepState = "pending"
    seconds: float | None = None
    cached: bool = False
    depends_on: Sequence[str] = ()
    error: str = ""
    log_href: str = ""
    key: str = ""
    peak_memory_mb: float | None = None


@dataclass(frozen=True)
class Failure:
    """Why a run did not succeed: which step, which rule, which records, and what to do."""

    step: str
    message: str
    rule: str = ""
    records: Sequence[str] = ()
    remedy: str = ""
    exit_code: int | None = None
    log_href: str = ""


@dataclass(frozen=True)
class Record:
    """A record that was not kept. `status` is dropped, failed or quarantined; `thumbnail` a JPEG if there is one."""

    record_id: str
    status: str
    reason: str
    source: str = ""
    stage: str = ""
    detail: str = ""
    thumbnail: Path | None = None


@dataclass(frozen=True)
class SourceFacts:
    """What went in and what became of it: `total` = kept + dropped + failed + quarantined records.

    `files` counts the media files that were found; `reasons` counts the records not kept by reason.
    """

    files: int
    total: int
    kept: int
    dropped: int
    failed: int
    quarantined: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    records: Sequence[Record] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class CorpusFacts:
    """A corpus version: git revision and DVC hash of the corpus repository, and how its clips divide."""

    revision: str
    dvc_hash: str
    parent: str = ""
    clips: int = 0
    splits: Mapping[str, int] = field(default_factory=dict)
    modalities: Mapping[str, int] = field(default_factory=dict)
    tags: Mapping[str, int] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class QualityFigure:
    """One figure of codec reconstruction quality, e.g. PSNR in dB; `reading` says how to read it."""

    label: str
    value: float
    unit: str = ""
    modality: Literal["video", "audio"] = "video"
    reading: str = ""


@dataclass(frozen=True)
class LossCurve:
    """A loss against the training step: `points` are (step, loss); values that are not finite are left out."""

    modality: Literal["video", "audio"]
    kind: Literal["train", "validation"]
    points: Sequence[tuple[float, float]]


@dataclass(frozen=True)
class StageFacts:
    """One training stage. First and last validation loss are over both modalities, as training reports them."""

    name: str
    title: str = ""
    curves: Sequence[LossCurve] = ()
    first_validation_loss: float | None = None
    last_validation_loss: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ClipFacts:
    """A media file to watch and hear beside its prompt.

    Attributes:
        path: the MP4 (H.264 and AAC), embedded in the page.
        prompt: what was asked for; clips with the same prompt and family stand together.
        variant: what made it, for a person: "guided", "untrained", "real clip".
        name: path for machines (`summary.json`) and for the link when the page is full; relative to the repository.
        href: path relative to the page.
    """

    path: Path
    prompt: str
    variant: str
    kind: ClipKind = "generated"
    family: str = ""
    seed: int | None = None
    note: str = ""
    name: str = ""
    href: str = ""


@dataclass(frozen=True)
class Arm:
    """What a metric is compared with: the untrained model, shuffled audio, guidance off, a real clip."""

    label: str
    estimate: Estimate


@dataclass(frozen=True)
class MetricFacts:
    """A metric with its interval and what it is compared with; `reason` says why it has no estimate.

    `threshold` is the bound a gate wants the interval to clear; `chance` is what guessing gets.
    """

    name: str
    label: str
    description: str = ""
    estimate: Estimate | None = None
    arm: str = "this model"
    arms: Sequence[Arm] = ()
    unit: str = ""
    direction: Literal["higher", "lower"] = "higher"
    protocol: str = ""
    backend: str = ""
    family: str = ""
    eligible: int | None = None
    chance: float | None = None
    threshold: float | None = None
    primary: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Statement:
    """What was learned (True), was not (False) or was not measured (None), in plain words."""

    text: str
    learned: bool | None
    family: str = ""


@dataclass(frozen=True)
class GateFacts:
    """A gate's verdict. `rules` are mappings as `nava.pages.verdict_page.render_verdict` takes them."""

    gate: str
    passed: bool
    rules: Sequence[Mapping[str, Any]] = ()
    href: str = ""


@dataclass(frozen=True)
class ModelVersionFacts:
    """A registered version, its aliases, its package's hash and whether the signature was verified."""

    name: str
    version: str
    aliases: Sequence[str] = ()
    package_uri: str = ""
    package_sha256: str = ""
    signature: str = ""
    signature_verified: bool | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PromotionFacts:
    """An entry of the promotion ledger: who, when, from, to, evidence, approval, and the hashes that chain it."""

    alias: str
    to_version: str
    from_version: str = ""
    who: str = ""
    when: str = ""
    approval: str = ""
    evidence: str = ""
    entry_sha256: str = ""
    previous_sha256: str = ""


@dataclass(frozen=True)
class ServeCheckFacts:
    """The package, started as a service and asked for a clip over HTTP."""

    passed: bool
    seconds: float | None = None
    clip: ClipFacts | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Command:
    """A command to copy."""

    label: str
    command: str
    note: str = ""


@dataclass(frozen=True)
class PageLink:
    """A page that a step made of its result; `href` is relative to the run's page."""

    label: str
    href: str


@dataclass(frozen=True)
class RunPage:
    """Everything the page of a run shows. What a run did not reach is None or empty, and the page says so.

    `pipeline` is what the run is one of, for people; `sections` are those that such a run can fill.
    """

    run_name: str
    state: RunState
    started_at: str
    duration_s: float | None = None
    run_id: str = ""
    title: str = ""
    recipe: str = ""
    git_sha: str = ""
    git_dirty: bool = False
    steps: Sequence[StepFacts] = ()
    failure: Failure | None = None
    sources: SourceFacts | None = None
    corpus: CorpusFacts | None = None
    codec_quality: Sequence[QualityFigure] = ()
    codec_facts: Mapping[str, Any] = field(default_factory=dict)
    stages: Sequence[StageFacts] = ()
    clips: Sequence[ClipFacts] = ()
    metrics: Sequence[MetricFacts] = ()
    guidance: Sequence[MetricFacts] = ()
    text_control: Sequence[MetricFacts] = ()
    statements: Sequence[Statement] = ()
    gates: Sequence[GateFacts] = ()
    model_version: ModelVersionFacts | None = None
    serve_check: ServeCheckFacts | None = None
    promotion: PromotionFacts | None = None
    run_record: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] | str = ""
    commands: Sequence[Command] = ()
    pipeline: str = "life cycle"
    sections: Sequence[str] = ALL_SECTIONS
    pages: Sequence[PageLink] = ()
