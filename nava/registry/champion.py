"""The champion's package: where it lies, and what it is verified with."""

from dataclasses import dataclass
from pathlib import Path

from nava.config.registry import RegistryConfig
from nava.runtime.errors import InputError


@dataclass(frozen=True)
class ServedPackage:
    """A package and the key to verify it with."""

    uri: str
    sha256: str
    public_key: Path


def champion_package(run_dir: Path, config: RegistryConfig | None = None) -> ServedPackage:
    """The champion's package. InputError when there is no champion, or it was never packaged."""
    from nava.artifacts.signature import PUBLIC_KEY_FILE
    from nava.registry.mlflow_registry import PACKAGE_SHA256_TAG, PACKAGE_URI_TAG
    from nava.registry.package_store import key_directory
    from nava.registry.recorded_config import recorded_config
    from nava.registry.versions import current_champion

    config = config or recorded_config(run_dir, RegistryConfig)
    champion = current_champion(run_dir, config)
    if champion is None:
        raise InputError(
            f"no version in {run_dir} has the alias champion yet: run the life cycle, or promote one by hand"
        )
    if PACKAGE_URI_TAG not in champion.tags:
        raise InputError(f"{champion.name} v{champion.version} was never packaged: run the life cycle again")
    key = key_directory(config, run_dir) / PUBLIC_KEY_FILE
    return ServedPackage(champion.tags[PACKAGE_URI_TAG], champion.tags[PACKAGE_SHA256_TAG], key)
