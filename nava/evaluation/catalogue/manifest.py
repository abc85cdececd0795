"""Manifests of metrics and of the backends that can compute them: YAML files beside this module."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from nava.evaluation.benchmark.item import NEEDS
from nava.evaluation.catalogue.perturbations import PERTURBATIONS
from nava.runtime.errors import InputError

FOLDER = Path(__file__).parent
LEVELS = ("sample", "pair", "set")
DIRECTIONS = ("higher", "lower")
TIERS = ("paper", "embedded")
SUBJECTS = ("generated", "reference_audio", "reference_voice", "first_frame", "text")


@dataclass(frozen=True)
class Backend:
    """One way to compute a metric.

    Attributes:
        backend: id of the extractor whose features are scored; part of every column's name.
        tier: ``paper`` for the published model, ``embedded`` for what runs here without its weights.
        proven: whether it has run on its real weights; else it says ``unproven`` wherever it is named.
        licence: of code and weights.
        about: what it can and cannot tell.
    """

    backend: str
    tier: str
    licence: str
    proven: bool = True
    about: str = ""


@dataclass(frozen=True)
class MetricManifest:
    """A metric.

    Attributes:
        metric_id: unique.
        protocol: fixes preprocessing, constants and aggregation; only equal protocols compare.
        label: for people.
        about: one sentence: what is measured and how to read it.
        unit: of the values.
        direction: what is better.
        level: of one clip (`sample`), of a clip and its reference (`pair`), or of all clips together (`set`).
        subjects: which files or texts features are extracted of, see `SUBJECTS`.
        scorer: name in `nava.evaluation.catalogue.scorers`.
        needs: what an item must have, see `NEEDS`; and `audio`, `video` of the clip.
        backends: those that can compute it, the default one first.
        sensitive_to: perturbations that must make it worse, see `PERTURBATIONS`.
        insensitive_to: perturbations that must not change it.
        low, high: range of the values where there is one.
        licence: of the definition.
        citation: where it is from.
    """

    metric_id: str
    protocol: str
    label: str
    about: str
    unit: str
    direction: str
    level: str
    scorer: str
    subjects: tuple[str, ...]
    needs: tuple[str, ...]
    backends: tuple[Backend, ...]
    citation: str
    sensitive_to: tuple[str, ...] = ()
    insensitive_to: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    licence: str = "as the backend"

    def column(self, backend: str) -> str:
        """The name of a figure: metric and backend; one without the other says nothing."""
        return f"{self.metric_id}[{backend}]"

    def backend(self, name: str) -> Backend:
        """A backend by name. InputError lists those that there are."""
        for found in self.backends:
            if found.backend == name:
                return found
        there = ", ".join(found.backend for found in self.backends)
        raise InputError(f"{self.metric_id} has no backend {name!r}; there are {there}")

    @property
    def item_needs(self) -> tuple[str, ...]:
        """What the benchmark's item must bring."""
        return tuple(need for need in self.needs if need in NEEDS)


@lru_cache(maxsize=1)
def catalogue() -> Mapping[str, MetricManifest]:
    """All metrics by id, in the order of the files.

    Raises:
        InputError: a manifest is wrong; the message names file, metric and field.
    """
    import yaml

    found: dict[str, MetricManifest] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        for entry in yaml.safe_load(path.read_text(encoding="utf-8")):
            manifest = parse_manifest(entry, path.name)
            if manifest.metric_id in found:
                raise InputError(f"{path.name}: {manifest.metric_id} is there twice")
            found[manifest.metric_id] = manifest
    return found


def parse_manifest(entry: Mapping[str, Any], source: str) -> MetricManifest:
    """A manifest from its YAML value. InputError names source, metric and field."""
    value = dict(entry)
    where = f"{source}: {value.get('id', 'a metric without id')}"
    value["metric_id"] = value.pop("id", "")
    _known(value, MetricManifest, where)
    value["backends"] = tuple(_backend(part, where) for part in value["backends"])
    for name in ("subjects", "needs", "sensitive_to", "insensitive_to"):
        value[name] = tuple(value.get(name, ()))
    manifest = MetricManifest(**value)
    _check(manifest, where)
    return manifest


def _backend(value: Mapping[str, Any], where: str) -> Backend:
    _known(value, Backend, f"{where}: backends")
    return Backend(**value)


def _known(value: Mapping[str, Any], kind: type[Any], where: str) -> None:
    names = {item.name for item in fields(kind)}
    if unknown := set(value) - names:
        raise InputError(f"{where}: unknown field {', '.join(sorted(unknown))}")
    required = {item.name for item in fields(kind) if not _optional(item)}
    if missing := required - set(value):
        raise InputError(f"{where}: field {', '.join(sorted(missing))} is missing")


def _optional(item: Any) -> bool:
    from dataclasses import MISSING

    return item.default is not MISSING or item.default_factory is not MISSING


def _check(manifest: MetricManifest, where: str) -> None:
    choices = (
        ("direction", (manifest.direction,), DIRECTIONS),
        ("level", (manifest.level,), LEVELS),
        ("subjects", manifest.subjects, SUBJECTS),
        ("needs", manifest.needs, ("audio", "video", *NEEDS)),
        ("sensitive_to", manifest.sensitive_to, tuple(PERTURBATIONS)),
        ("insensitive_to", manifest.insensitive_to, tuple(PERTURBATIONS)),
        ("backends.tier", tuple(backend.tier for backend in manifest.backends), TIERS),
    )
    for name, values, allowed in choices:
        if wrong := [value for value in values if value not in allowed]:
            raise InputError(f"{where}: {name} names {', '.join(wrong)}; there are {', '.join(allowed)}")
    if not manifest.backends:
        raise InputError(f"{where}: no backend")
    if both := set(manifest.sensitive_to) & set(manifest.insensitive_to):
        raise InputError(f"{where}: both sensitive and insensitive to {', '.join(sorted(both))}")
