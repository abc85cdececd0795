"""How a run stands, read from its folder alone: what `nava train status` and the run's page show."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from nava.artifacts.checkpoint import CheckpointDamagedError, complete_folders, read_manifest
from nava.pages.formats import format_number, format_seconds
from nava.runtime.storage import read_json
from nava.training.job_file import read_job
from nava.training.run_folder import (
    CHECKPOINTS,
    HEARTBEAT_FILE,
    JOB_FILE,
    METRICS_FILE,
    MLFLOW_FILE,
    RUNNING,
    RunState,
    read_events,
    read_rows,
    read_state,
)

INTERRUPTED, NOT_STARTED = "interrupted", "not started"
# The heartbeat comes every 5 s; a machine may be busy, and clocks of a shared disk differ.
_SILENT_S = 60.0
_RECENT = 50


@dataclass(frozen=True)
class CheckpointStatus:
    """The newest complete checkpoint: its step, seconds since it was written, and how many there are."""

    step: int
    age_s: float
    count: int
    validation_loss: float | None = None


@dataclass(frozen=True)
class RunStatus:
    """How a run stands.

    Attributes:
        state: running, finished, stopped, failed, interrupted (it was killed), or not started.
        step, steps: optimizer steps done, and of how many.
        losses: means over the last steps, by name.
        speed: means over the last steps: steps_per_s, tokens_per_s, samples_per_s, data_wait_share, mfu (GPUs).
        eta_s: seconds left at that speed; None unless it runs.
        validation: the last one: step, loss.
        spikes: how many steps were spikes.
        warnings: the last ones.
        error: the line that it ended with.
        mlflow: the run's id there.
    """

    folder: str
    recipe: str
    stage: int
    state: str
    step: int
    steps: int
    samples: int
    processes: int
    losses: dict[str, float]
    lr: float | None
    grad_norm: float | None
    speed: dict[str, float]
    eta_s: float | None
    checkpoint: CheckpointStatus | None
    validation: dict[str, float] | None
    spikes: int
    warnings: list[str] = field(default_factory=list)
    error: str = ""
    mlflow: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def read_status(folder: Path, now: float | None = None) -> RunStatus:
    """Read how a run stands.

    Raises:
        InputError: there is no run in the folder.
    """
    now = time.time() if now is None else now
    job, state = read_job(folder / JOB_FILE), read_state(folder)
    rows, events = read_rows(folder / METRICS_FILE), read_events(folder)
    recent = rows[-_RECENT:]
    step = int(rows[-1]["step"]) if rows else 0
    name = _state(folder, state, now)
    speed = _speed(recent)
    left = job.length - step
    eta_s = left / speed["steps_per_s"] if name == RUNNING and speed.get("steps_per_s") else None
    validations = [event for event in events if event["event"] == "validation"]
    return RunStatus(
        folder=str(folder),
        recipe=job.recipe,
        stage=job.stage,
        state=name,
        step=step,
        steps=job.length,
        samples=int(rows[-1]["samples"]) if rows else 0,
        processes=state.processes if state else 0,
        losses=_means(recent, ("loss", "loss_video", "loss_audio")),
        lr=rows[-1]["lr"] if rows else None,
        grad_norm=rows[-1]["grad_norm"] if rows else None,
        speed=speed,
        eta_s=eta_s,
        checkpoint=_checkpoint(folder, now),
        validation={"step": validations[-1]["done"], "loss": validations[-1]["loss"]} if validations else None,
        spikes=sum(event["event"] == "spike" for event in events),
        warnings=[str(event.get("text", "")) for event in events if event["event"] == "warning"][-3:],
        error=_error(name, state),
        mlflow=read_json(folder / MLFLOW_FILE)["run_id"] if (folder / MLFLOW_FILE).is_file() else "",
    )


def status_lines(status: RunStatus) -> list[str]:
    """The same for people."""
    share = f" ({100 * status.step // max(1, status.steps)} %)"
    lines = [f"{status.state}: stage {status.stage} of recipe {status.recipe}, {status.processes or 1} process(es)"]
    eta = f", {format_seconds(status.eta_s)} left" if status.eta_s is not None else ""
    lines.append(f"step {status.step} of {status.steps}{share}{eta}; {status.samples:,} samples")
    if status.losses:
        losses = ", ".join(f"{name.replace('_', ' ')} {value:.4f}" for name, value in status.losses.items())
        lines.append(f"{losses} (mean of the last {_RECENT} steps)")
        lines.append(f"learning rate {status.lr:.3g}, gradient norm {status.grad_norm:.3g}")
    if status.speed:
        lines.append(_speed_line(status.speed))
    lines.append(_checkpoint_line(status.checkpoint))
    if status.validation:
        lines.append(f"validation loss {status.validation['loss']:.4f} at step {status.validation['step']}")
    if status.spikes:
        lines.append(f"{status.spikes} loss spike(s); see events.jsonl")
    lines += [f"warning: {text}" for text in status.warnings]
    if status.error:
        lines.append(f"last error: {status.error}")
    return lines


def _state(folder: Path, state: RunState | None, now: float) -> str:
    if state is None:
        return NOT_STARTED
    if state.state != RUNNING:
        return state.state
    beat = folder / HEARTBEAT_FILE
    silent = not beat.is_file() or now - beat.stat().st_mtime > _SILENT_S
    here = state.host == socket.gethostname()
    return INTERRUPTED if silent or (here and not _lives(state.pid)) else RUNNING


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    try:
        # A killed process that nobody has waited for yet is still listed.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return True


def _error(name: str, state: RunState | None) -> str:
    if name == INTERRUPTED:
        return "its process is gone without a word (killed?); the same command goes on from the last checkpoint"
    return state.error if state else ""


def _means(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, float]:
    values = {name: [row[name] for row in rows if row.get(name) is not None] for name in names}
    return {name: fmean(found) for name, found in values.items() if found}


def _speed(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    seconds = sum(row["step_s"] for row in rows)
    if not seconds:
        return {}
    found = {
        "steps_per_s": len(rows) / seconds,
        "tokens_per_s": sum(row["tokens_per_s"] * row["step_s"] for row in rows) / seconds,
        "samples_per_s": sum(row["samples_per_s"] * row["step_s"] for row in rows) / seconds,
        "data_wait_share": sum(row["data_wait_s"] for row in rows) / seconds,
    }
    return found | _means(rows, ("mfu", "gpu_memory_gib"))


def _speed_line(speed: Mapping[str, float]) -> str:
    parts = [
        f"{speed['steps_per_s']:.2f} steps/s",
        f"{format_number(speed['tokens_per_s'])} tokens/s",
        f"{speed['samples_per_s']:.1f} samples/s",
        f"{100 * speed['data_wait_share']:.1f} % waiting for data",
    ]
    if "mfu" in speed:
        parts.append(f"MFU {100 * speed['mfu']:.1f} %")
    if "gpu_memory_gib" in speed:
        parts.append(f"{speed['gpu_memory_gib']:.1f} GiB of GPU memory")
    return ", ".join(parts)


def _checkpoint(folder: Path, now: float) -> CheckpointStatus | None:
    for number, place in enumerate(found := complete_folders(folder / CHECKPOINTS)):
        try:
            manifest = read_manifest(place)
        except CheckpointDamagedError:
            continue
        age_s = max(0.0, now - place.stat().st_mtime)
        return CheckpointStatus(manifest.step, age_s, len(found) - number, manifest.validation_loss)
    return None


def _checkpoint_line(checkpoint: CheckpointStatus | None) -> str:
    if checkpoint is None:
        return "no checkpoint yet"
    kept = f", {checkpoint.count} kept" if checkpoint.count > 1 else ""
    return f"last checkpoint: step {checkpoint.step}, {format_seconds(checkpoint.age_s)} ago{kept}"
