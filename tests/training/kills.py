"""Training that is killed at random moments, again and again, until it ends; and what each restart found."""

import json
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from nava.training.run_folder import METRICS_FILE, read_rows
from tests.training.stage_runs import REPOSITORY

_TAIL_BYTES = 1 << 16
SAME = ("step", "loss", "lr", "grad_norm", "samples", "batches")


@dataclass
class Disturbed:
    """What happened to a run.

    Attributes:
        kills: how often it was killed after its first step of an attempt.
        lost: steps that each restart had to do again.
        worst: what the restart that lost most said, after the steps before it and the step that it went on from.
    """

    kills: int = 0
    lost: list[int] = field(default_factory=list)
    worst: str = ""

    def restarted(self, before: int, after: int, output: str) -> None:
        """A restart went on after a step, where so many had been done before."""
        if before - after > max(self.lost, default=0):
            self.worst = f"{before} steps done, goes on after {after}:\n{output}"
        self.lost.append(before - after)


def curve(workdir: Path) -> list[dict[str, Any]]:
    """What must be the same in every run of a stage."""
    return [{name: row[name] for name in SAME} for row in read_rows(workdir / METRICS_FILE)]


def last_step(workdir: Path) -> int:
    """The last step that was recorded."""
    path = workdir / METRICS_FILE
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        # Asked many times a second: all rows of a long run would keep a core busy.
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        lines = file.read().split(b"\n")[:-1]
    return int(json.loads(lines[-1])["step"]) if lines else 0


def resumed_after(output: str) -> int:
    """The step after which an attempt went on; 0 for a fresh start."""
    words = output.partition("goes on after step ")[2].split()
    return int(words[0]) if words else 0


def run_with_kills(
    workdir: Path, training: dict[str, Any], processes: int, chance: random.Random, kills: int
) -> Disturbed:
    """Train to the end of the stage, killing every process of the run up to `kills` times at random moments.

    A moment is a number of steps and a part of a second after them, so kills hit steps and saves alike.
    """
    workdir.mkdir(parents=True, exist_ok=True)
    spec = workdir.with_suffix(".json")
    spec.write_text(json.dumps([{"workdir": str(workdir), "training": training}]))
    found = Disturbed()
    while True:
        before = last_step(workdir)
        log = workdir.with_suffix(".log").open("w+")
        process = _start(spec, processes, log)
        wanted = before + chance.randint(1, 40) if found.kills < kills else sys.maxsize
        while process.poll() is None and last_step(workdir) < wanted and not _has_ended(workdir):
            time.sleep(0.02)
        # One that has its result is let go to its end, or it would be started and killed for ever.
        killed = process.poll() is None and wanted < sys.maxsize and not _has_ended(workdir)
        if killed:
            time.sleep(chance.uniform(0, 0.15))
            _kill_all(process.pid)
        code = process.wait()
        log.seek(0)
        output = log.read()
        log.close()
        if before:
            found.restarted(before, resumed_after(output), output)
        if not killed:
            assert code == 0, output
            return found
        found.kills += 1


def _start(spec: Path, processes: int, log: Any) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"] if processes > 1 else []
    command = [sys.executable, *launcher, "-m", "tests.training.stage_runs", str(spec)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, stdout=log, stderr=log, text=True, cwd=REPOSITORY, env=environment, start_new_session=True
    )


def _kill_all(pid: int) -> None:
    """Kill a launcher and its ranks: torchrun gives each a session of its own, and one that is left would train on."""
    launcher = psutil.Process(pid)
    for process in [launcher, *launcher.children(recursive=True)]:
        with suppress(psutil.NoSuchProcess):
            process.kill()


def _has_ended(workdir: Path) -> bool:
    return (workdir / "result" / "manifest.json").is_file()
