"""Settings of live logging to MLflow while training runs. None of them changes a result."""

from dataclasses import dataclass, field

from nava.config.checks import require, require_positive
from nava.runtime.secret_values import holds_password

NOT_IDENTITY = {"identity": False}


@dataclass
class TrackingConfig:
    """Where rows of training are logged as they come. A server that is not there costs a warning and nothing else."""

    # Address of an MLflow server, or sqlite:///file.db; empty logs nothing. Credentials are MLflow's own variables,
    # MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
    uri: str = field(default="", metadata=NOT_IDENTITY)
    experiment: str = field(default="nava-training", metadata=NOT_IDENTITY)
    # Rows are sent together, this often.
    every_s: float = field(default=5.0, metadata=NOT_IDENTITY)
    # How long a call to the server may take.
    timeout_s: float = field(default=10.0, metadata=NOT_IDENTITY)
    # How long the end of training waits for the last rows to be sent.
    drain_s: float = field(default=60.0, metadata=NOT_IDENTITY)

    def check(self) -> None:
        """Refuse values that no run could use. InputError names the setting and what it may be."""
        hint = "an address without a password; MLflow reads MLFLOW_TRACKING_PASSWORD"
        require(not holds_password(self.uri), "tracking.uri", "…", hint)
        require(bool(self.experiment), "tracking.experiment", self.experiment, "a name")
        require_positive(self, "tracking", ("every_s", "timeout_s", "drain_s"))
