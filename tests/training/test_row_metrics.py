"""Rows and events as named values."""

import os

import pytest

from nava.training.row_metrics import SystemMetrics, event_metrics, row_metrics
from tests.training.small_run import a_row


def test_figures_keep_their_names_and_what_is_no_figure_is_left_out() -> None:
    found = row_metrics(a_row(2, loss=float("nan")))
    assert found["loss_t2av_video"] == 1.5
    assert found["data_wait_share"] == pytest.approx(0.1)
    assert not {"loss", "loss_audio", "batches", "step", "stage", "time"} & set(found)


def test_a_validation_by_task_and_noise_level() -> None:
    tasks = {"audio": {"by_sigma": {"0.2": 1.0, "0.8": 3.0}, "mean": 2.0}}
    assert event_metrics({"event": "validation", "loss": 2.5, "tasks": tasks}) == {
        "validation/loss": 2.5,
        "validation/audio": 2.0,
        "validation/audio/sigma_0.2": 1.0,
        "validation/audio/sigma_0.8": 3.0,
    }


def test_other_events_have_few_figures_or_none() -> None:
    assert event_metrics({"event": "spike", "loss": 9.0}) == {"spike": 9.0}
    assert event_metrics({"event": "spike", "loss": float("inf")}) == {}
    assert event_metrics({"event": "samples", "files": []}) == {}


def test_a_machine_without_gpu_has_a_process() -> None:
    found = SystemMetrics(os.getpid()).read()
    assert found["system/process_memory_megabytes"] > 10


def test_a_process_that_is_gone_is_left_out() -> None:
    assert "system/process_memory_megabytes" not in SystemMetrics(2**22 + 1).read()


class FakeNvml:
    """Two cards, one of which tells no power."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    class Memory:
        used, total = 40e9, 80e9

    class Rates:
        gpu = 97

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, number: int) -> int:
        return number

    def nvmlDeviceGetMemoryInfo(self, _gpu: int) -> Memory:
        return self.Memory()

    def nvmlDeviceGetUtilizationRates(self, _gpu: int) -> Rates:
        return self.Rates()

    def nvmlDeviceGetPowerUsage(self, gpu: int) -> int:
        if gpu:
            raise self.NVMLError
        return 650_000

    def nvmlDeviceGetTemperature(self, _gpu: int, _kind: int) -> int:
        return 60


def test_gpus_by_the_names_that_mlflow_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pynvml", FakeNvml())
    found = SystemMetrics(os.getpid()).read()
    assert found["system/gpu_0_utilization_percentage"] == 97
    assert found["system/gpu_0_memory_usage_percentage"] == 50
    assert found["system/gpu_0_power_usage_watts"] == 650
    assert found["system/gpu_0_temperature_celsius"] == 60
    assert found["system/gpu_1_memory_usage_megabytes"] == 40_000
    assert "system/gpu_1_power_usage_watts" not in found
