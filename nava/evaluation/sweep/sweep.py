"""Sweep files: which sampler settings are tried on which items and seeds, and which is the baseline."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nava.runtime.errors import InputError
from nava.runtime.hashing import sha256_file

if TYPE_CHECKING:
    from nava.evaluation.benchmark.item import Item
    from nava.generation.request import SamplerOverrides

SCHEMA_VERSION = 1
SWEEPS = Path(__file__).parent / "sweeps"
Setting = str | int | float

# A variant's name is a folder's.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=,-]{0,99}")
_PREFIX = "guidance."
_WORDS, _COUNTS = ("mode",), ("steps",)
_REQUIRED = ("schema_version", "id", "title", "task", "seeds", "baseline")
_OPTIONAL = ("axes", "variants", "items", "metrics", "generate", "layout")


@dataclass(frozen=True)
class Variant:
    """A row of the table: a name, and the sampler settings that differ from the package's own."""

    name: str
    settings: Mapping[str, Setting] = field(default_factory=dict)

    def overrides(self) -> SamplerOverrides:
        """The settings as `nava generate` takes them."""
        from nava.generation.request import SamplerOverrides

        values: dict[str, Any] = dict(self.settings)
        return SamplerOverrides(**values)


@dataclass(frozen=True)
class Selection:
    """Which items of the benchmark: of these subsets, the first `per_subset` of each, or these ids; empty for all."""

    subsets: tuple[str, ...] = ()
    per_subset: int | None = None
    ids: tuple[str, ...] = ()

    def of(self, items: Sequence[Item]) -> list[Item]:
        """The selected items in their order. InputError for a subset or id that there is not."""
        for name, wanted, there in (
            ("subsets", self.subsets, {item.subset for item in items}),
            ("ids", self.ids, {item.item_id for item in items}),
        ):
            if unknown := [entry for entry in wanted if entry not in there]:
                raise InputError(f"items.{name} of the sweep names {', '.join(unknown[:5])}, which the data has not")
        taken: dict[str, int] = {}
        found = []
        for item in items:
            if (self.subsets and item.subset not in self.subsets) or (self.ids and item.item_id not in self.ids):
                continue
            taken[item.subset] = taken.get(item.subset, 0) + 1
            if self.per_subset is None or taken[item.subset] <= self.per_subset:
                found.append(item)
        return found


@dataclass(frozen=True)
class Asked:
    """How items become requests.

    Attributes:
        task: of generation; inferred from what is given where it is None.
        image, voice: whether the items' first frames and reference voices go in.
        seconds: length of the clips; the package's own where it is None.
    """

    task: str | None = None
    image: bool = True
    voice: bool = True
    seconds: float | None = None


@dataclass(frozen=True)
class Block:
    """A block of the paper's table: the variants that are its rows without and with a guidance."""

    block: str
    without_variant: str
    with_variant: str


@dataclass(frozen=True)
class Sweep:
    """A sweep file.

    Attributes:
        task: of the benchmark, a name or a file.
        seeds: of the noise; every item is made once with each.
        variants: in the order of the table.
        baseline: name of the variant that differences are taken from.
        metrics: only these of the task; empty for all.
        layout: which variants are the rows of the paper's guidance table.
        sha256: of the file.
    """

    sweep_id: str
    title: str
    task: str
    seeds: tuple[int, ...]
    variants: tuple[Variant, ...]
    baseline: str
    items: Selection = field(default_factory=Selection)
    metrics: tuple[str, ...] = ()
    generate: Asked = field(default_factory=Asked)
    layout: tuple[Block, ...] = ()
    sha256: str = field(default="", compare=False)

    def variant(self, name: str) -> Variant:
        """A variant by its name."""
        return next(variant for variant in self.variants if variant.name == name)


def sweep_names() -> list[str]:
    """Names of the sweeps that come with the package."""
    return sorted(path.stem for path in SWEEPS.glob("*.yaml"))


def load_sweep(name: str | Path) -> Sweep:
    """A sweep by its name, or by the path of a sweep file.

    Raises:
        InputError: there is none, or a field of it is wrong; the message names file and field.
    """
    import yaml

    path = Path(name) if str(name).endswith((".yaml", ".yml")) else SWEEPS / f"{name}.yaml"
    if not path.is_file():
        raise InputError(f"there is no sweep {str(name)!r}; there are {', '.join(sweep_names())}, or give a .yaml file")
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    sweep = parse_sweep(value, path.name, sha256_file(path))
    task = path.parent / sweep.task
    if sweep.task.endswith((".yaml", ".yml")) and task.is_file():
        return replace(sweep, task=str(task))
    return sweep


def parse_sweep(value: Any, source: str, sha256: str = "") -> Sweep:
    """A sweep from the value of a sweep file. InputError names the field."""
    value = _mapping(value, source)
    _known(value, _REQUIRED, _OPTIONAL, source)
    if value["schema_version"] != SCHEMA_VERSION:
        raise InputError(f"{source}: schema_version must be {SCHEMA_VERSION}")
    if ("axes" in value) == ("variants" in value):
        raise InputError(f"{source}: give either axes or variants")
    variants = _variants(value["variants"], source) if "variants" in value else _crossed(value["axes"], source)
    names = [variant.name for variant in variants]
    if len(names) < 2:
        raise InputError(f"{source}: a sweep compares at least two variants")
    layout = tuple(_block(entry, names, f"{source}: layout[{n}]") for n, entry in enumerate(value.get("layout", ())))
    return Sweep(
        sweep_id=_text(value["id"], f"{source}: id"),
        title=_text(value["title"], f"{source}: title"),
        task=_text(value["task"], f"{source}: task"),
        seeds=_seeds(value["seeds"], source),
        variants=variants,
        baseline=_baseline(value["baseline"], names, source),
        items=_selection(value.get("items", {}), source),
        metrics=_texts(value.get("metrics", []), f"{source}: metrics"),
        generate=_asked(value.get("generate", {}), source),
        layout=layout,
        sha256=sha256,
    )


def sampler_fields() -> tuple[str, ...]:
    """Names of the settings that may be swept."""
    from nava.generation.request import SamplerOverrides

    return tuple(item.name for item in fields(SamplerOverrides))


def _variants(value: Any, source: str) -> tuple[Variant, ...]:
    found = []
    for name, settings in _mapping(value, f"{source}: variants").items():
        where = f"{source}: variants.{name}"
        if not _NAME.fullmatch(str(name)):
            raise InputError(f"{where}: a variant's name is letters, digits and . _ = , - only: it names a folder")
        found.append(_checked(Variant(str(name), _settings(settings or {}, where)), where))
    return tuple(found)


def _crossed(value: Any, source: str) -> tuple[Variant, ...]:
    """Every combination of the axes' values."""
    axes: list[tuple[str, list[Setting]]] = []
    for number, entry in enumerate(value if isinstance(value, list) else [value]):
        where = f"{source}: axes[{number}]"
        _known(_mapping(entry, where), ("name", "values"), (), where)
        name, values = _field_name(entry["name"], where), entry["values"]
        if not isinstance(values, list) or not values or len(set(map(repr, values))) < len(values):
            raise InputError(f"{where}: values must be a list of different values")
        if name in dict(axes):
            raise InputError(f"{where}: there is an axis {name} already")
        axes.append((name, values))
    found = []
    for combination in product(*(values for _, values in axes)):
        settings = {name: value for (name, _), value in zip(axes, combination, strict=True)}
        name = ",".join(f"{key}={entry}" for key, entry in settings.items())
        found.append(_checked(Variant(name, _settings(settings, f"{source}: axes")), f"{source}: axes: {name}"))
    return tuple(found)


def _settings(value: Any, where: str) -> dict[str, Setting]:
    found: dict[str, Setting] = {}
    for name, entry in _mapping(value, where).items():
        key = _field_name(name, where)
        kind = (str,) if key in _WORDS else (int,) if key in _COUNTS else (int, float)
        if type(entry) not in kind:
            raise InputError(f"{where}: {name} is {entry!r}; it must be {'text' if key in _WORDS else 'a number'}")
        found[key] = entry
    return found


def _checked(variant: Variant, where: str) -> Variant:
    """Values that no sampler takes are told before anything is made."""
    from nava.config.generation import GenerationConfig

    try:
        variant.overrides().apply(GenerationConfig())
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    if not _NAME.fullmatch(variant.name):
        raise InputError(f"{where}: a variant's name must be a folder's; use named variants instead of axes")
    return variant


def _field_name(name: Any, where: str) -> str:
    bare = str(name).removeprefix(_PREFIX)
    if bare not in sampler_fields():
        raise InputError(f"{where}: there is no sampler setting {name!r}; there are {', '.join(sampler_fields())}")
    return bare


def _baseline(value: Any, names: Sequence[str], source: str) -> str:
    if isinstance(value, dict):
        value = ",".join(f"{_field_name(key, f'{source}: baseline')}={entry}" for key, entry in value.items())
    return _variant_name(value, names, f"{source}: baseline")


def _variant_name(value: Any, names: Sequence[str], where: str) -> str:
    if value not in names:
        raise InputError(f"{where} is {value!r}, which is no variant; there are {', '.join(names)}")
    return str(value)


def _block(value: Any, names: Sequence[str], where: str) -> Block:
    _known(_mapping(value, where), ("block", "without", "with"), (), where)
    sides = (_variant_name(value[side], names, f"{where}.{side}") for side in ("without", "with"))
    return Block(_text(value["block"], f"{where}.block"), *sides)


def _seeds(value: Any, source: str) -> tuple[int, ...]:
    if not isinstance(value, list) or not value or not all(type(seed) is int and seed >= 0 for seed in value):
        raise InputError(f"{source}: seeds must be a list of whole numbers of 0 or more")
    if len(set(value)) < len(value):
        raise InputError(f"{source}: a seed is there twice: the same clips would count twice")
    return tuple(value)


def _selection(value: Any, source: str) -> Selection:
    where = f"{source}: items"
    _known(_mapping(value, where), (), ("subsets", "per_subset", "ids"), where)
    count = value.get("per_subset")
    if count is not None and (type(count) is not int or count < 1):
        raise InputError(f"{where}.per_subset must be a whole number of 1 or more")
    return Selection(
        _texts(value.get("subsets", []), f"{where}.subsets"), count, _texts(value.get("ids", []), f"{where}.ids")
    )


def _asked(value: Any, source: str) -> Asked:
    from nava.generation.request import parse_task

    where = f"{source}: generate"
    _known(_mapping(value, where), (), tuple(asdict(Asked())), where)
    asked = Asked(**value)
    if not isinstance(asked.image, bool) or not isinstance(asked.voice, bool):
        raise InputError(f"{where}: image and voice must be true or false")
    if asked.seconds is not None and (isinstance(asked.seconds, bool) or not isinstance(asked.seconds, int | float)):
        raise InputError(f"{where}: seconds must be a number")
    if asked.task is not None:
        parse_task(str(asked.task))
    return asked


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: must be fields with values, got {type(value).__name__}")
    return value


def _known(value: Mapping[str, Any], required: Sequence[str], optional: Sequence[str], where: str) -> None:
    if unknown := [str(name) for name in value if name not in (*required, *optional)]:
        raise InputError(f"{where}: unknown field {', '.join(unknown)}; there are {', '.join((*required, *optional))}")
    if missing := [name for name in required if name not in value]:
        raise InputError(f"{where}: field {', '.join(missing)} is missing")


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{where} must be text")
    return value


def _texts(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise InputError(f"{where} must be a list of texts")
    return tuple(value)
