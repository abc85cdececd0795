"""MLflow as this platform uses it: one experiment, one registered model, aliases, and versions found by what they are.

The registry lies in SQLite inside the run's folder, or on the MLflow server that the configuration names.
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nava.config.registry import RegistryConfig

CANDIDATE, CHAMPION, PREVIOUS = "candidate", "champion", "previous"
IDENTITY_TAG = "nava.identity"
EVALUATION_TAG = "nava.evaluation_sha256"
BASELINE_TAG = "nava.baseline"
PACKAGE_URI_TAG = "package_uri"
PACKAGE_SHA256_TAG = "package_sha256"
# What a version's promotion rests on, by artifact kind: set once its package was served and has answered.
EVIDENCE_TAG = "nava.promotion_evidence"
SIGNING_KEY_TAG = "package_signing_key_sha256"
EVALUATION_ARTIFACT = "evaluation"
RUN_RECORD_ARTIFACT = "run_record.json"
LEDGER_HEAD_TAG = "nava.ledger_head"
_MISSING = "RESOURCE_DOES_NOT_EXIST"


@dataclass(frozen=True)
class RegisteredVersion:
    """A model version as the registry keeps it."""

    name: str
    version: int
    run_id: str
    tags: dict[str, str]
    aliases: tuple[str, ...] = ()


def database_path(run_dir: Path) -> Path:
    """Where the embedded registry's database lies."""
    return run_dir / "mlflow.db"


class MlflowRegistry:
    """The registry behind a run.

    Args:
        config: where it lies and what the experiment and the model are called.
        run_dir: root of the run; holds the embedded registry.
    """

    def __init__(self, config: RegistryConfig, run_dir: Path) -> None:
        self.config, self.run_dir = config, run_dir
        self.uri = config.tracking_uri or f"sqlite:///{database_path(run_dir).resolve()}"
        _silence()
        from mlflow import MlflowClient

        # After the import, which sets levels of its own.
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)
        self.client = MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    @staticmethod
    def is_empty(config: RegistryConfig, run_dir: Path) -> bool:
        """Whether there is nothing to ask: the embedded registry was never made. Costs no import of MLflow."""
        return config.tracking_uri is None and not database_path(run_dir).exists()

    def experiment_id(self) -> str:
        """The experiment; made on first use."""
        if found := self.client.get_experiment_by_name(self.config.experiment):
            return str(found.experiment_id)
        location = None
        if self.config.tracking_uri is None:
            location = self.config.artifact_uri or (self.run_dir.resolve() / "mlartifacts").as_uri()
        return str(self.client.create_experiment(self.config.experiment, artifact_location=location))

    def aliases(self) -> dict[str, int]:
        """Every alias of the model with the version it stands at."""
        from mlflow.exceptions import MlflowException

        try:
            model = self.client.get_registered_model(self.config.model_name)
        except MlflowException as error:
            if error.error_code == _MISSING:
                return {}
            raise
        return {alias: int(version) for alias, version in model.aliases.items()}

    def by_alias(self, alias: str) -> RegisteredVersion | None:
        """The version an alias stands at, or None."""
        number = self.aliases().get(alias)
        return None if number is None else self.version(number)

    def version(self, number: int) -> RegisteredVersion | None:
        """A version by its number, or None."""
        from mlflow.exceptions import MlflowException

        try:
            return _registered(self.client.get_model_version(self.config.model_name, str(number)))
        except MlflowException as error:
            if error.error_code == _MISSING:
                return None
            raise

    def versions(self) -> list[RegisteredVersion]:
        """All versions, oldest first."""
        aliases = self.aliases()
        found = [_registered(item) for item in self._search(f"name='{self.config.model_name}'")]
        named = [
            RegisteredVersion(
                item.name,
                item.version,
                item.run_id,
                item.tags,
                tuple(sorted(alias for alias, number in aliases.items() if number == item.version)),
            )
            for item in found
        ]
        return sorted(named, key=lambda item: item.version)

    def find(self, identity: str) -> RegisteredVersion | None:
        """The version of this identity, or None."""
        query = f"name='{self.config.model_name}' and tags.`{IDENTITY_TAG}`='{identity}'"
        return next((_registered(item) for item in self._search(query)), None)

    def create_version(self, run_id: str, source: str, tags: dict[str, str]) -> RegisteredVersion:
        """Register a version; the registered model is made on first use."""
        from mlflow.exceptions import MlflowException

        name = self.config.model_name
        try:
            self.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        return _registered(self.client.create_model_version(name, source=source, run_id=run_id, tags=tags))

    def move_alias(self, alias: str, number: int) -> None:
        """Point an alias at a version. No check and no record: promotion does both."""
        self.client.set_registered_model_alias(self.config.model_name, alias, str(number))

    def tag_version(self, number: int, tags: dict[str, str]) -> None:
        """Set tags on a version."""
        for key, value in tags.items():
            self.client.set_model_version_tag(self.config.model_name, str(number), key, value)

    def tag_model(self, key: str, value: str) -> None:
        """Set a tag on the registered model."""
        self.client.set_registered_model_tag(self.config.model_name, key, value)

    def model_tag(self, key: str) -> str | None:
        """A tag of the registered model, or None."""
        if not self.aliases():
            return None
        return dict(self.client.get_registered_model(self.config.model_name).tags).get(key)

    def download(self, run_id: str, artifact: str, target: Path) -> Path:
        """Fetch an artifact of a run into `target`."""
        return Path(self.client.download_artifacts(run_id, artifact, str(target)))

    def _search(self, query: str) -> Iterator[Any]:
        token = None
        while True:
            page = self.client.search_model_versions(query, page_token=token)
            yield from page
            token = page.token
            if not token:
                return


def _registered(item: Any) -> RegisteredVersion:
    return RegisteredVersion(item.name, int(item.version), str(item.run_id or ""), dict(item.tags))


def _silence() -> None:
    """No telemetry and no progress bars: MLflow has no other switch for them."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ["DO_NOT_TRACK"] = "true"
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
