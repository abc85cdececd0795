"""From an evaluation, its gate and the registry to what a run's page shows of them."""

from pathlib import Path

from nava.artifacts.evaluation_result import Estimate as Measured
from nava.artifacts.evaluation_result import GalleryClip, MetricEntry
from nava.console.pipeline_ir import from_repository
from nava.console.recorded_run import RecordedRun
from nava.pages.run_facts import (
    Arm,
    ClipFacts,
    ClipKind,
    Estimate,
    GateFacts,
    MetricFacts,
    ModelVersionFacts,
    PromotionFacts,
    ServeCheckFacts,
)
from nava.runtime.hashing import sha256_json
from nava.runtime.storage import read_json

CLIP_KINDS: dict[str, ClipKind] = {"untrained": "untrained", "codec": "codec", "real": "real"}
GATES = {"validate": "data gate", "gate": "evaluation gate"}


def clips(run: RecordedRun) -> list[ClipFacts]:
    """The clips of the gallery."""
    if run.evaluation is None or run.evaluation_dir is None:
        return []
    labels = {variant["name"]: variant["label"] for variant in run.evaluation.variants}
    return [_clip(run, run.evaluation_dir, clip, labels[clip.variant]) for clip in run.evaluation.gallery]


def _clip(run: RecordedRun, folder: Path, clip: GalleryClip, label: str) -> ClipFacts:
    path = folder / clip.path
    return ClipFacts(
        path=path,
        prompt=clip.prompt,
        variant=label,
        kind=CLIP_KINDS.get(clip.variant, "generated"),
        family=clip.family,
        seed=clip.seed,
        note="" if clip.note == label else clip.note,
        name=from_repository(path),
        href=run.href(path),
    )


def metric(entry: MetricEntry) -> MetricFacts:
    """A metric with its interval and what it is compared with."""
    estimate = None
    if entry.measured:
        assert entry.value is not None
        assert entry.ci_low is not None
        assert entry.ci_high is not None
        assert entry.n is not None
        estimate = Estimate(entry.value, entry.ci_low, entry.ci_high, entry.n)
    arms = {
        "untrained model": entry.baseline_untrained,
        "shuffled audio": entry.baseline_shuffled,
        "codec round trip": entry.reference_codec,
        "real clips": entry.reference_real,
    }
    return MetricFacts(
        name=entry.name,
        label=entry.label,
        description=entry.description,
        estimate=estimate,
        arms=[Arm(label, _estimate(value)) for label, value in arms.items() if value is not None],
        unit=entry.unit,
        direction=entry.direction,  # type: ignore[arg-type]
        protocol=entry.protocol,
        backend=entry.backend,
        family=entry.family or "",
        eligible=entry.eligible,
        chance=entry.chance,
        primary=entry.primary,
        reason=entry.reason,
    )


def _estimate(value: Measured) -> Estimate:
    return Estimate(value.value, value.ci_low, value.ci_high, value.n)


def gate_facts(run: RecordedRun, step: str) -> GateFacts | None:
    """A gate's verdict, whether it passed or not."""
    handle = run.handle(step)
    if handle is None:
        return None
    verdict = read_json(handle.path / "verdict.json")
    return GateFacts(GATES[step], verdict["passed"], verdict["rules"], run.href(handle.path / "verdict.html"))


def model_version(run: RecordedRun) -> ModelVersionFacts | None:
    """The registered version with its aliases, package and signature."""
    version = run.model_version()
    if version is None:
        return None
    package = run.handle("package")
    served = run.handle("serve_check")
    return ModelVersionFacts(
        name=version["name"],
        version=str(version["version"]),
        aliases=version["aliases"],
        package_uri=version["package_uri"] or "",
        package_sha256=version["package_sha256"] or "",
        signature=f"OpenSSF model signing, key {package.meta['signing_key_sha256'][:16]}" if package else "",
        # The service verifies before it loads: a clip served is a signature verified.
        signature_verified=True if served else None,
        facts={"MLflow run": version["run_id"]},
    )


def serve_check(run: RecordedRun) -> ServeCheckFacts | None:
    """The package as a service, and the clip it returned."""
    handle = run.handle("serve_check")
    if handle is None:
        return None
    report = read_json(handle.path / "report.json")
    path = handle.path / "served.mp4"
    prompt = report["request"]["prompt"]
    clip = ClipFacts(path, prompt, "served over HTTP", "served", name=from_repository(path), href=run.href(path))
    return ServeCheckFacts(passed=True, clip=clip, facts=report["clip"])


def promotion(run: RecordedRun) -> PromotionFacts | None:
    """The ledger's entry of this promotion."""
    handle = run.handle("promote")
    if handle is None:
        return None
    entry = read_json(handle.path).get("entry")
    if entry is None:
        return None
    return PromotionFacts(
        alias="champion",
        to_version=str(entry["to_version"]),
        from_version=str(entry["from_version"] or ""),
        who=entry["actor"],
        when=entry["recorded_at"],
        approval=f"{entry['approval']['policy']}, {entry['approval']['approved_by']}",
        evidence=sha256_json(entry["evidence"]),
        entry_sha256=entry["entry_hash"],
        previous_sha256=entry["previous_hash"],
    )
