"""How a TrainJob stands, read from its conditions."""

from dataclasses import dataclass
from typing import Any

from nava.launch.cluster_client import Pod
from nava.launch.command import LaunchFailedError, LaunchStoppedError
from nava.runtime.errors import EXIT_FAILED, EXIT_STOPPED

PENDING, SUSPENDED, RUNNING, COMPLETE, FAILED = "pending", "suspended", "running", "complete", "failed"
_MAX_WORDS = 400


@dataclass(frozen=True)
class JobState:
    """How a job stands.

    Attributes:
        phase: pending, suspended (waiting for its queue, or held), running, complete or failed.
        reason: what the cluster says about it, on one line.
    """

    phase: str
    reason: str = ""

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.phase in (COMPLETE, FAILED)


def job_state(job: dict[str, Any]) -> JobState:
    """The state of a job as the API server gives it. An end counts before everything else."""
    status = job.get("status") or {}
    holding = {item["type"]: item for item in status.get("conditions") or [] if item.get("status") == "True"}
    for condition, phase in (("Complete", COMPLETE), ("Failed", FAILED)):
        if condition in holding:
            return JobState(phase, _reason(holding[condition]))
    if "Suspended" in holding or (job.get("spec") or {}).get("suspend"):
        return JobState(SUSPENDED, _reason(holding.get("Suspended", {})))
    if any(item.get("active") or item.get("ready") for item in status.get("jobsStatus") or []):
        return JobState(RUNNING)
    return JobState(PENDING)


def failure(step: str, job: str, state: JobState, pods: list[Pod]) -> LaunchFailedError | LaunchStoppedError:
    """What a failed job is told as: the pod that ended first other than well, and not because another had.

    Where all were told to stop, by a time limit for one, it has not failed: it saved and was stopped.
    """
    bad = [pod for pod in pods if pod.exit_code]
    told = f"{step}: TrainJob {job} failed"
    if not bad:
        return LaunchFailedError(f"{told}: {state.reason}" if state.reason else told, EXIT_FAILED)
    first = min(bad, key=lambda pod: (pod.exit_code == EXIT_STOPPED, pod.ended_at is None, pod.ended_at))
    assert first.exit_code is not None
    words = _last_words(first.last_lines)
    said = f": {words}" if words else ""
    where = f"node {first.node} (pod {first.name}) ended with exit code {first.exit_code}"
    if first.exit_code == EXIT_STOPPED:
        why = f" ({state.reason})" if state.reason else ""
        return LaunchStoppedError(f"{step}: TrainJob {job} was stopped{why}: {where}{said}")
    return LaunchFailedError(f"{told}: {where}{said}", first.exit_code)


def _reason(condition: dict[str, Any]) -> str:
    parts = (condition.get("reason", ""), condition.get("message", ""))
    return " ".join(": ".join(part for part in parts if part).split())[:_MAX_WORDS]


def _last_words(lines: str) -> str:
    """The agent's own line about the rank that failed, else the last line."""
    said = [line.strip() for line in lines.splitlines() if line.strip()]
    own = [line for line in said if line.startswith("nava: ")]
    return (own or said or [""])[-1].removeprefix("nava: ")[:_MAX_WORDS]
