"""All metrics as a Markdown table: what docs/metrics.md holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from nava.evaluation.catalogue.discrimination import discrimination
from nava.evaluation.catalogue.manifest import Backend, MetricManifest

_HEAD = """\
# Metrics

Written by `nava eval metrics --markdown > docs/metrics.md`. A figure's name is `metric[backend]`. Embedded backends run
here; published ones need their weights, and are unproven until they have run on them. What an embedded backend tells
apart was measured by `nava eval doctor` on the built-in benchmark: the chance that of a whole and a spoilt clip the
whole one has the better value (AUROC, 0.5 says nothing), with its 95 % interval over that many clips.

| metric | what it measures | better | backend | tier | tells whole clips from those with |
|---|---|---|---|---|---|
"""


def metric_table(manifests: Iterable[MetricManifest]) -> str:
    """The page."""
    return _HEAD + "".join(line for manifest in manifests for line in _lines(manifest))


def _lines(manifest: MetricManifest) -> Iterator[str]:
    for backend in manifest.backends:
        cells = (
            f"`{manifest.metric_id}`",
            f"{manifest.about} {backend.about}".strip(),
            f"{manifest.direction} ({manifest.unit})",
            f"`{backend.backend}`",
            backend.tier if backend.proven else f"{backend.tier}, unproven",
            _told_apart(manifest, backend),
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


def _told_apart(manifest: MetricManifest, backend: Backend) -> str:
    seen = discrimination().get(manifest.column(backend.backend), ())
    must = [entry for entry in seen if entry.expected == "worse"]
    parts = [
        f"{entry.perturbation} {entry.auroc:.2f} [{entry.ci_low:.2f}, {entry.ci_high:.2f}] ({entry.n})"
        for entry in must
    ]
    return "; ".join(parts) or "–"
