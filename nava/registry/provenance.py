"""Collects the run record: which code, data, settings, libraries and machine a model version came from."""

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from nava.artifacts.run_record import RunRecord
from nava.runtime.handle import Handle
from nava.runtime.hashing import sha256_json
from nava.runtime.project import package_root
from nava.runtime.step import Step
from nava.runtime.storage import read_json
from nava.runtime.store import StepRow, Store

_GIT_TIMEOUT_S = 20


def collect_run_record(step: Step, evaluation: Handle, checkpoint: Handle, shards: Handle, corpus: Handle) -> RunRecord:
    """The record of the run that `step` belongs to."""
    config = resolved_config(step)
    sha, dirty = git_state(package_root())
    return RunRecord(
        git_sha=sha,
        git_dirty=dirty,
        data_sha256=corpus.sha256,
        shards_sha256=shards.sha256,
        checkpoint_sha256=checkpoint.sha256,
        evaluation_sha256=evaluation.sha256,
        config_sha256=sha256_json(config),
        config=config,
        image_digests=None,
        seed=step.seed,
        python=platform.python_version(),
        libraries=library_versions(),
        hardware=hardware(),
        cost=cost(run_steps(step)),
    )


def git_state(root: Path) -> tuple[str | None, bool | None]:
    """Commit of `root` and whether its tracked files differ from it; (None, None) where it is no git checkout."""
    if not (root / ".git").exists():
        return None, None
    try:
        sha = _git(root, "rev-parse", "HEAD")
        changed = _git(root, "status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.SubprocessError):
        return None, None
    return sha, bool(changed)


def library_versions() -> dict[str, str]:
    """Version of every installed distribution."""
    found = importlib.metadata.distributions()
    return dict(sorted((item.metadata["Name"], item.version) for item in found if item.metadata["Name"]))


def hardware() -> dict[str, Any]:
    """The machine: architecture, processor, cores, memory, accelerators."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    return {
        "machine": platform.machine(),
        "system": platform.platform(),
        "cpu": _field(Path("/proc/cpuinfo"), "model name"),
        "cores": os.cpu_count(),
        "memory_gib": round(memory, 1),
        "accelerators": [_field(card, "Model") for card in cards],
    }


def run_steps(step: Step) -> list[StepRow]:
    """The steps of the run as the store has them; none where the run keeps no store."""
    database = step.run_dir / "store.db"
    return Store(f"sqlite:///{database}").steps(step.run_id) if database.is_file() else []


def cost(steps: list[StepRow]) -> dict[str, Any]:
    """Wall seconds by step and the core seconds that the machine was held for; no price is known here.

    A reused step costs this run the moment it took to find it.
    """
    seconds = {row.name: row.seconds for row in steps if row.seconds is not None}
    total = sum(seconds.values())
    return {
        "step_seconds": seconds,
        "total_step_seconds": round(total, 3),
        "core_seconds": round(total * (os.cpu_count() or 1), 3),
        "amount": None,
        "currency": None,
    }


def resolved_config(step: Step) -> dict[str, Any]:
    """The run's whole configuration by section, or what the step itself may read where the run keeps no store."""
    database = step.run_dir / "store.db"
    run = Store(f"sqlite:///{database}").run(step.run_id) if database.is_file() else None
    path = run.parameters.get("config") if run else None
    config: dict[str, Any] = read_json(Path(path))["config"] if path else dict(step.sections)
    return config


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=_GIT_TIMEOUT_S).stdout.strip()


def _field(path: Path, name: str) -> str | None:
    """The value of the first `name : value` line of a file under /proc."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), None)
