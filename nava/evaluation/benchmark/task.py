"""Task files: a benchmark's subsets, which metric is computed on which of them, and how figures are put together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from nava.evaluation.benchmark.item import NEEDS, Item
from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file, sha256_json

SCHEMA_VERSION = 1
TASKS = Path(__file__).parent / "tasks"
AGGREGATIONS = ("items", "mean_of_subsets")


@dataclass(frozen=True)
class Subset:
    """A part of a benchmark: how many items the publisher states, and what they are."""

    items: int
    about: str


@dataclass(frozen=True)
class Routing:
    """A metric of the task.

    Attributes:
        metric: id in the catalogue.
        subsets: those it is computed on; empty for all.
        only: what an item must have, names of `nava.evaluation.benchmark.item.NEEDS`, besides the metric's own needs.
        backends: extractors to compute it by; empty for all that are at hand.
    """

    metric: str
    subsets: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    backends: tuple[str, ...] = ()

    def takes(self, item: Item) -> bool:
        """Whether the item is eligible by the task."""
        return (not self.subsets or item.subset in self.subsets) and all(NEEDS[need](item) for need in self.only)


@dataclass(frozen=True)
class Task:
    """A task file.

    Attributes:
        task_id: its name; with edition and version it says what a figure is of.
        layout: how the items lie on disk, see `nava.evaluation.benchmark.layouts`.
        aggregation: ``items`` is the mean over items; ``mean_of_subsets`` the mean of the subsets' means.
        sha256: of the task file.
    """

    task_id: str
    version: int
    edition: str
    title: str
    layout: str
    licence: str
    citation: str
    subsets: Mapping[str, Subset]
    metrics: tuple[Routing, ...]
    aggregation: str = "items"
    notes: tuple[str, ...] = ()
    sha256: str = field(default="", compare=False)

    @property
    def column(self) -> str:
        """What figures must have in common to stand in one column."""
        return f"{self.task_id}.{self.edition}.v{self.version}"


def task_names() -> list[str]:
    """Names of the tasks that come with the package."""
    return sorted(path.stem for path in TASKS.glob("*.yaml"))


def load_task(name: str | Path) -> Task:
    """A task by its name, or by the path of a task file.

    Raises:
        InputError: there is none, or a field of it is wrong; the message names file and field.
    """
    import yaml

    path = Path(name) if str(name).endswith((".yaml", ".yml")) else TASKS / f"{name}.yaml"
    if not path.is_file():
        raise InputError(
            f"there is no benchmark task {name!r}; there are {', '.join(task_names())}, or give a .yaml file"
        )
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    return parse_task(value, path.name, sha256_file(path))


def parse_task(value: Any, source: str, sha256: str) -> Task:
    """A task from the value of a task file. InputError names the field."""
    value = dict(_mapping(value, source))
    if value.pop("schema_version", None) != SCHEMA_VERSION:
        raise InputError(f"{source}: schema_version must be {SCHEMA_VERSION}")
    value["task_id"] = value.pop("id", "")
    known = {item.name for item in fields(Task)} - {"sha256"}
    _require_fields(value, known, {"aggregation", "notes"}, source)
    subsets = {
        name: _built(Subset, entry, f"{source}: subsets.{name}")
        for name, entry in _mapping(value["subsets"], f"{source}: subsets").items()
    }
    metrics = tuple(
        _built(Routing, entry, f"{source}: metrics[{number}]") for number, entry in enumerate(value["metrics"])
    )
    task = Task(
        **{**value, "subsets": subsets, "metrics": metrics, "notes": tuple(value.get("notes", ()))}, sha256=sha256
    )
    _check(task, source)
    return task


def manifest_sha256(task: Task, items: Sequence[Item]) -> str:
    """Identity of the task and of exactly these items; figures over other items are other figures."""
    return sha256_json({"task": task.sha256, "items": [item.identity() for item in items]})


def routing_identity(task: Task) -> list[dict[str, Any]]:
    """The metrics of a task as JSON."""
    return [asdict(routing) for routing in task.metrics]


def _check(task: Task, source: str) -> None:
    from nava.evaluation.catalogue.manifest import catalogue

    if task.aggregation not in AGGREGATIONS:
        raise InputError(f"{source}: aggregation is {task.aggregation!r}; it is {' or '.join(AGGREGATIONS)}")
    known = catalogue()
    for number, routing in enumerate(task.metrics):
        where = f"{source}: metrics[{number}]"
        if routing.metric not in known:
            raise InputError(f"{where}: there is no metric {routing.metric!r}; see `nava eval metrics`")
        if wrong := set(routing.subsets) - set(task.subsets):
            raise InputError(f"{where}: there is no subset {', '.join(sorted(wrong))}")
        if wrong := set(routing.only) - set(NEEDS):
            raise InputError(f"{where}: only names {', '.join(sorted(wrong))}; there are {', '.join(NEEDS)}")
        offered = {backend.backend for backend in known[routing.metric].backends}
        if wrong := set(routing.backends) - offered:
            raise InputError(f"{where}: {routing.metric} has no backend {', '.join(sorted(wrong))}")


def _built(kind: type[Any], entry: Any, where: str) -> Any:
    value = dict(_mapping(entry, where))
    required = {item.name for item in fields(kind) if item.name in ("metric", "items", "about")}
    allowed = {item.name for item in fields(kind)}
    _require_fields(value, allowed, allowed - required, where)
    return kind(**{name: tuple(part) if isinstance(part, list) else part for name, part in value.items()})


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: must be fields with values, got {type(value).__name__}")
    return value


def _require_fields(value: Mapping[str, Any], known: set[str], optional: set[str], where: str) -> None:
    if unknown := set(value) - known:
        raise InputError(f"{where}: unknown field {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    if missing := known - optional - set(value):
        raise InputError(f"{where}: field {', '.join(sorted(missing))} is missing")
