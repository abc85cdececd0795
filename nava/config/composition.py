"""Composes a recipe and overrides into one checked configuration. Hydra does the work; the messages are ours."""

import difflib
import json
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, get_type_hints

from nava.config.lifecycle import LifecycleConfig
from nava.runtime.errors import InputError

RECIPES = Path(__file__).parent / "recipes"
SCHEMA_NAME = "lifecycle_schema"


@dataclass(frozen=True)
class ResolvedConfig:
    """A composed configuration.

    Attributes:
        config: every value, by section.
        identity: the same without the settings that cannot change a result (`identity=False`: workers, display).
    """

    recipe: str
    config: dict[str, Any]
    identity: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As a step reads it."""
        return {"recipe": self.recipe, "config": self.config, "identity": self.identity}


def recipe_names() -> list[str]:
    """The recipes that exist."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def setting_names(schema: type = LifecycleConfig, prefix: str = "") -> list[str]:
    """Every setting as a dotted name."""
    names = []
    for name, kind in get_type_hints(schema).items():
        nested = isinstance(kind, type) and is_dataclass(kind)
        names += setting_names(kind, f"{prefix}{name}.") if nested else [f"{prefix}{name}"]
    return names


def compose(recipe: str, overrides: list[str] | None = None) -> ResolvedConfig:
    """Compose a recipe with overrides such as `training.micro_batch_size=8`.

    Raises:
        InputError: unknown recipe, unknown setting (with the nearest known one), a value of the wrong type, or one
            that its section's `check` refuses.
    """
    if recipe not in recipe_names():
        raise InputError(f"unknown recipe '{recipe}'; there are: {', '.join(recipe_names())}")
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.config_store import ConfigStore
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    ConfigStore.instance().store(name=SCHEMA_NAME, node=LifecycleConfig)
    _check_overrides(overrides or [])
    try:
        with initialize_config_dir(str(RECIPES), version_base=None):
            composed = hydra_compose(recipe, overrides=overrides or [])
        config = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
        value = OmegaConf.to_object(composed)
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(f"recipe '{recipe}': {_first_cause(error)}") from error
    assert isinstance(config, dict)
    _check_sections(value)
    # Through JSON once, so that a step sees the very values that its key was computed from.
    return ResolvedConfig(recipe, json.loads(json.dumps(config)), json.loads(json.dumps(identity_values(value))))


def _check_sections(config: Any) -> None:
    """Let the configuration, and every section that checks its values, do so."""
    for part in (config, *(getattr(config, item.name) for item in fields(config))):
        check = getattr(part, "check", None)
        if check is not None:
            check()


def identity_values(value: Any) -> Any:
    """A configuration without the fields marked `identity=False`."""
    if is_dataclass(value) and not isinstance(value, type):
        kept = [item for item in fields(value) if item.metadata.get("identity", True)]
        return {item.name: identity_values(getattr(value, item.name)) for item in kept}
    if isinstance(value, dict):
        return {key: identity_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [identity_values(item) for item in value]
    return value


def _check_overrides(overrides: list[str]) -> None:
    known = setting_names()
    for override in overrides:
        name, separator, _ = override.partition("=")
        if not separator:
            raise InputError(f"setting '{override}' has no value; write name=value, e.g. training.micro_batch_size=8")
        if name in known or any(name.startswith(f"{setting}.") for setting in known):
            continue
        nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(nearest)}?" if nearest else "; `nava config show` lists them all"
        raise InputError(f"unknown setting '{name}'{hint}")


def _first_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    text = str(error).strip().splitlines()[0]
    key = getattr(error, "full_key", None)
    return f"{key}: {text}" if key else text
