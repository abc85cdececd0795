"""What calls to endpoints have cost, and the budget that stops them.

Every paid call is one line of a file that all workers of a run append to, so that a kill loses no more than the line
of the call in flight. The sum over the file counts against the budget: also of earlier runs with the same folder. A
report beside it has the sums by model.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from nava.data.annotation.request import Usage
from nava.runtime.errors import RunStoppedError
from nava.runtime.storage import write_json

CALLS_FILE = "calls.jsonl"
REPORT_FILE = "cost.json"


class BudgetSpentError(RunStoppedError):
    """The next call might cost more than is left: the run stops, what it has is kept, nothing is marked as failed."""


@dataclass(frozen=True)
class Price:
    """USD per million tokens; 0 for a server of one's own."""

    input_usd: float
    output_usd: float

    def of(self, usage: Usage) -> float:
        """USD."""
        return (usage.input_tokens * self.input_usd + usage.output_tokens * self.output_usd) / 1e6


@dataclass
class ModelCost:
    """The sum over one model's calls."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0

    def add(self, call: dict[str, Any]) -> None:
        """Add one line of the file of calls."""
        self.calls += 1
        self.input_tokens += call["input_tokens"]
        self.output_tokens += call["output_tokens"]
        self.cost_usd += call["cost_usd"]


class CostAccount:
    """Adds up the calls of all workers that share a folder.

    The budget holds for this worker's calls in flight at their estimates; several workers together may overshoot it by
    the calls that the others have in flight.

    Args:
        folder: where the file of calls lies.
        max_cost_usd: 0 for no limit.
    """

    def __init__(self, folder: Path, max_cost_usd: float) -> None:
        self.path = folder / CALLS_FILE
        self.max_cost_usd = max_cost_usd
        self._models: dict[str, ModelCost] = {}
        self._read_bytes = 0
        self._reserved_usd = 0.0
        self._lock = threading.Lock()

    @contextmanager
    def reserve(self, estimate_usd: float) -> Iterator[None]:
        """Hold an estimate while a call is in flight.

        Raises:
            BudgetSpentError: it does not fit into what is left.
        """
        with self._lock:
            self._read_new()
            spent_usd = sum(cost.cost_usd for cost in self._models.values())
            if self.max_cost_usd and spent_usd + self._reserved_usd + estimate_usd > self.max_cost_usd:
                raise BudgetSpentError(
                    f"annotation.max_cost_usd is {self.max_cost_usd:g} USD; {spent_usd:.4f} USD are spent "
                    f"({self.path}), {self._reserved_usd:.4f} USD in flight, and the next call may cost "
                    f"{estimate_usd:.4f} USD. "
                    "Raise the budget and run again: answers that are paid for are read from the cache"
                )
            self._reserved_usd += estimate_usd
        try:
            yield
        finally:
            with self._lock:
                self._reserved_usd -= estimate_usd

    def record(self, model: str, usage: Usage, price: Price, form: str) -> None:
        """Append a paid call, useful or not, and bring the report up to date."""
        call = {"model": model, "form": form, **asdict(usage), "cost_usd": price.of(usage)}
        line = json.dumps(call, sort_keys=True).encode() + b"\n"
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("ab+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # A writer killed within its line leaves a stump: it must not swallow this line too.
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
            # Within the lock: the last writer is the one that knows of every call.
            self._write_report()

    def totals(self) -> dict[str, ModelCost]:
        """Costs by model, of all workers."""
        with self._lock:
            self._read_new()
            return dict(sorted(self._models.items()))

    def _write_report(self) -> None:
        """Write the sums by model and over all as JSON beside the file of calls."""
        totals = self.totals()
        report = {
            "max_cost_usd": self.max_cost_usd,
            "cost_usd": sum(cost.cost_usd for cost in totals.values()),
            "models": {model: asdict(cost) for model, cost in totals.items()},
        }
        write_json(self.path.with_name(REPORT_FILE), report)

    def _read_new(self) -> None:
        """Add the whole lines that have come in since the last reading."""
        try:
            with self.path.open("rb") as file:
                file.seek(self._read_bytes)
                data = file.read()
        except FileNotFoundError:
            return
        whole = data[: data.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.splitlines():
            try:
                call = json.loads(line)
            except ValueError:
                continue  # the stump that a killed writer left
            self._models.setdefault(call["model"], ModelCost()).add(call)
