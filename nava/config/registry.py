"""Where versions, packages and keys are kept."""

from dataclasses import dataclass


@dataclass
class RegistryConfig:
    """The model registry; None means the place inside the run's folder that the comment names."""

    tracking_uri: str | None = None  # sqlite:///<run>/mlflow.db; or the address of an MLflow server
    artifact_uri: str | None = None  # <run>/mlartifacts; ignored by a server, which has its own
    package_uri: str | None = None  # <run>/packages; a folder or an fsspec address such as s3://bucket/packages
    key_dir: str | None = None  # <run>/keys; the signing key is made there on first use
    store_url: str | None = None  # sqlite:///<run>/store.db; holds the promotion ledger
    experiment: str = "nava"
    model_name: str = "nava"
    licence: str = "Apache-2.0"
