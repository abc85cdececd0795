"""Rows and events of a run as named values, as trackers take them."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any

_NOT_METRICS = ("step", "stage", "batches", "time")


def row_metrics(row: Mapping[str, Any]) -> dict[str, float]:
    """The figures of a step by the names that `metrics.jsonl` has, and the share of its time spent waiting for data."""
    found = {name: float(value) for name, value in row.items() if name not in _NOT_METRICS and _is_number(value)}
    if row.get("step_s"):
        found["data_wait_share"] = row["data_wait_s"] / row["step_s"]
    return found


def event_metrics(event: Mapping[str, Any]) -> dict[str, float]:
    """Losses of a validation by task and noise level, or the loss of a spike."""
    if event["event"] == "spike":
        return {"spike": float(event["loss"])} if _is_number(event.get("loss")) else {}
    if event["event"] != "validation":
        return {}
    return {"validation/loss": float(event["loss"])} | dict(_by_task(event.get("tasks") or {}))


def _by_task(tasks: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for task, losses in tasks.items():
        yield f"validation/{task}", float(losses["mean"])
        for sigma, loss in losses["by_sigma"].items():
            yield f"validation/{task}/sigma_{sigma}", float(loss)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


class SystemMetrics:
    """What the machine does, by the names that MLflow draws: a process, and the GPUs of its node.

    Args:
        pid: of the process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._gpus: list[Any] = []
        self._nvml: Any = None
        try:
            import pynvml  # type: ignore[import-untyped]

            pynvml.nvmlInit()
            self._nvml = pynvml
            self._gpus = [pynvml.nvmlDeviceGetHandleByIndex(number) for number in range(pynvml.nvmlDeviceGetCount())]
        # Without the library, or without a driver, there is no GPU to measure.
        except Exception:
            self._gpus = []

    def read(self) -> dict[str, float]:
        """Figures of this moment; a card that does not tell one is left out."""
        found = _processor(self._pid)
        for number, gpu in enumerate(self._gpus):
            for name, value in self._gpu(gpu).items():
                found[f"system/gpu_{number}_{name}"] = value
        return found

    def _gpu(self, gpu: Any) -> dict[str, float]:
        nvml = self._nvml
        found: dict[str, float] = {}
        try:
            memory = nvml.nvmlDeviceGetMemoryInfo(gpu)
            found["memory_usage_megabytes"] = memory.used / 1e6
            found["memory_usage_percentage"] = 100 * memory.used / memory.total
            found["utilization_percentage"] = float(nvml.nvmlDeviceGetUtilizationRates(gpu).gpu)
            found["power_usage_watts"] = nvml.nvmlDeviceGetPowerUsage(gpu) / 1000
            found["temperature_celsius"] = float(nvml.nvmlDeviceGetTemperature(gpu, nvml.NVML_TEMPERATURE_GPU))
        except nvml.NVMLError:
            pass
        return found


def _processor(pid: int) -> dict[str, float]:
    try:
        import psutil  # type: ignore[import-untyped]
    except ImportError:
        return {}
    found = {"system/cpu_utilization_percentage": float(psutil.cpu_percent())}
    with contextlib.suppress(psutil.Error):
        found["system/process_memory_megabytes"] = psutil.Process(pid).memory_info().rss / 1e6
    return found
