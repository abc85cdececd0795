"""Rules on benchmark figures as they are written: read from a file, and held against the catalogue of metrics."""

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

from nava.config.benchmark_rule import BenchmarkRule
from nava.config.promotion import PromotionConfig
from nava.evaluation.catalogue.manifest import MetricManifest, catalogue
from nava.runtime.errors import InputError

SCHEMA_VERSION = 1


def read_rules(path: Path) -> list[BenchmarkRule]:
    """The rules of a YAML file: `schema_version: 1` and `rules`, a list of `BenchmarkRule`'s fields.

    Raises:
        InputError: no such file, no rule in it, or a rule is wrong; the message names file, rule and field.
    """
    import yaml

    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(value, dict) or value.get("schema_version") != SCHEMA_VERSION:
        raise InputError(f"{path}: schema_version must be {SCHEMA_VERSION}")
    if unknown := set(value) - {"schema_version", "rules"}:
        raise InputError(f"{path}: unknown field {', '.join(sorted(map(str, unknown)))}; there is rules")
    entries = value.get("rules")
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: rules must be a list of one rule or more")
    rules = [_parsed(entry, f"{path}: rules[{number}]") for number, entry in enumerate(entries)]
    for number, rule in enumerate(rules):
        rule.check(f"{path}: rules[{number}]")
    check_metrics(rules, f"{path}: rules")
    return rules


def configured_rules(config: PromotionConfig) -> list[BenchmarkRule]:
    """The rules of `promotion.benchmark_rules`. InputError as `check_metrics`."""
    check_metrics(config.benchmark_rules, "promotion.benchmark_rules")
    return config.benchmark_rules


def check_metrics(rules: Sequence[BenchmarkRule], where: str) -> None:
    """Refuse rules that the catalogue of metrics has no meaning for.

    Raises:
        InputError: an unknown metric or backend, a bound against the metric's direction or beyond its range, or a
            comparison item by item of a metric without values of items. The message names the field.
    """
    for number, rule in enumerate(rules):
        place = f"{where}[{number}]"
        manifest = catalogue().get(rule.metric)
        if manifest is None:
            raise InputError(f"{place}.metric: there is no metric {rule.metric!r}; `nava eval metrics` lists them")
        try:
            manifest.backend(rule.backend)
        except InputError as error:
            raise InputError(f"{place}.backend: {error}") from error
        _check_bounds(rule, manifest, place)
        if rule.max_regression is not None and manifest.level == "set":
            raise InputError(
                f"{place}.max_regression: {rule.metric} compares whole sets and has no values of items to pair; "
                "give it a maximum or minimum"
            )


def _check_bounds(rule: BenchmarkRule, manifest: MetricManifest, place: str) -> None:
    wrong, right = ("maximum", "minimum") if manifest.direction == "higher" else ("minimum", "maximum")
    if getattr(rule, wrong) is not None:
        raise InputError(
            f"{place}.{wrong}: of {rule.metric}, {manifest.direction} is better, so its bound is a {right}"
        )
    if rule.minimum is not None and manifest.high is not None and rule.minimum > manifest.high:
        raise InputError(f"{place}.minimum is {rule.minimum:g}, but {rule.metric} is {manifest.high:g} at most")
    if rule.maximum is not None and manifest.low is not None and rule.maximum < manifest.low:
        raise InputError(f"{place}.maximum is {rule.maximum:g}, but {rule.metric} is {manifest.low:g} at least")


def _parsed(entry: Any, place: str) -> BenchmarkRule:
    if not isinstance(entry, dict):
        raise InputError(f"{place}: must be fields with values, got {type(entry).__name__}")
    known = {item.name: item for item in fields(BenchmarkRule)}
    if unknown := sorted(map(str, set(entry) - set(known))):
        raise InputError(f"{place}.{unknown[0]}: unknown field; there are {', '.join(known)}")
    missing = [name for name, item in known.items() if item.default is MISSING and name not in entry]
    if missing:
        raise InputError(f"{place}.{missing[0]} is missing")
    kinds = get_type_hints(BenchmarkRule)
    return BenchmarkRule(**{name: _typed(value, kinds[name], f"{place}.{name}") for name, value in entry.items()})


def _typed(value: Any, kind: Any, place: str) -> Any:
    """A value of YAML if it is of the field's type; no text passes for a number, no number for yes or no."""
    kinds: Mapping[Any, tuple[type, ...]] = {float: (int, float), int: (int,), str: (str,), bool: (bool,)}
    allowed = get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    if value is None and type(None) in allowed:
        return None
    wanted = next(part for part in allowed if part is not type(None))
    fits = isinstance(value, kinds[wanted]) and (wanted is bool or not isinstance(value, bool))
    if not fits:
        names = {float: "a number", int: "a whole number", str: "text", bool: "true or false"}
        raise InputError(f"{place} is {value!r}; it must be {names[wanted]}")
    return float(value) if wanted is float else value
