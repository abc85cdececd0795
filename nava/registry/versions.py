"""What the registry of a run holds, for people and pages; it lies where the run was set to keep it."""

from pathlib import Path
from typing import Any

from nava.config.registry import RegistryConfig
from nava.registry.mlflow_registry import (
    CHAMPION,
    PACKAGE_SHA256_TAG,
    PACKAGE_URI_TAG,
    MlflowRegistry,
    RegisteredVersion,
)
from nava.registry.recorded_config import recorded_config


def list_versions(run_dir: Path, config: RegistryConfig | None = None) -> list[dict[str, Any]]:
    """Every registered version, oldest first: name, version, aliases, run_id, package_uri, package_sha256, tags."""
    config = config or recorded_config(run_dir, RegistryConfig)
    if MlflowRegistry.is_empty(config, run_dir):
        return []
    return [
        {
            "name": item.name,
            "version": item.version,
            "aliases": list(item.aliases),
            "run_id": item.run_id,
            "package_uri": item.tags.get(PACKAGE_URI_TAG),
            "package_sha256": item.tags.get(PACKAGE_SHA256_TAG),
            "tags": item.tags,
        }
        for item in MlflowRegistry(config, run_dir).versions()
    ]


def current_champion(run_dir: Path, config: RegistryConfig | None = None) -> RegisteredVersion | None:
    """The version that the alias champion stands at, or None."""
    config = config or recorded_config(run_dir, RegistryConfig)
    if MlflowRegistry.is_empty(config, run_dir):
        return None
    return MlflowRegistry(config, run_dir).by_alias(CHAMPION)
