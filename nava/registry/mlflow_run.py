"""One MLflow run, found again after a kill: whatever is logged twice leaves the same trace as once."""

from pathlib import Path
from typing import Any

from nava.registry.mlflow_registry import MlflowRegistry

_METRICS_PER_CALL = 1000
_PARAMS_PER_CALL = 100
_LONGEST_PARAM = 500


class MlflowRun:
    """A run of the registry's experiment."""

    def __init__(self, registry: MlflowRegistry, run: Any) -> None:
        self._client = registry.client
        self._logged_params = set(run.data.params)
        self.run_id = str(run.info.run_id)
        # A fixed time makes a point logged again the same point, where the time of day would make it a second one.
        self._at_ms = int(run.info.start_time)

    @classmethod
    def find_or_start(cls, registry: MlflowRegistry, tag: str, value: str) -> "MlflowRun":
        """The run that carries the tag, or a new one."""
        experiment = registry.experiment_id()
        found = registry.client.search_runs([experiment], f"tags.`{tag}` = '{value}'", max_results=1)
        if found:
            return cls(registry, found[0])
        name = f"{registry.config.model_name}-{value[:8]}"
        return cls(registry, registry.client.create_run(experiment, tags={tag: value}, run_name=name))

    def log_params(self, config: dict[str, Any]) -> None:
        """Log a nested configuration as dotted parameters."""
        from mlflow.entities import Param

        flat = {name: value for name, value in flatten(config).items() if name not in self._logged_params}
        params = [Param(name, value[:_LONGEST_PARAM]) for name, value in flat.items()]
        for start in range(0, len(params), _PARAMS_PER_CALL):
            self._client.log_batch(self.run_id, params=params[start : start + _PARAMS_PER_CALL])

    def log_metrics(self, values: dict[str, float]) -> None:
        """Log single values."""
        self.log_series({name: [(0, value)] for name, value in values.items()})

    def log_series(self, series: dict[str, list[tuple[int, float]]]) -> None:
        """Log curves: name to (step, value), in batches."""
        from mlflow.entities import Metric

        metrics = [Metric(name, value, self._at_ms, step) for name, points in series.items() for step, value in points]
        for start in range(0, len(metrics), _METRICS_PER_CALL):
            self._client.log_batch(self.run_id, metrics=metrics[start : start + _METRICS_PER_CALL])

    def log_folder(self, folder: Path, name: str) -> None:
        """Attach a folder."""
        self._client.log_artifacts(self.run_id, str(folder), name)

    def log_json(self, value: dict[str, Any], name: str) -> None:
        """Attach a JSON file."""
        self._client.log_dict(self.run_id, value, name)

    def tag(self, tags: dict[str, str]) -> None:
        """Set tags on the run."""
        for name, value in tags.items():
            self._client.set_tag(self.run_id, name, value)

    def finish(self) -> None:
        """Mark the run as finished."""
        self._client.set_terminated(self.run_id)


def flatten(config: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """A nested configuration as dotted names with text values."""
    flat: dict[str, str] = {}
    for name, value in config.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": str(value)}
    return flat
