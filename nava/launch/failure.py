"""Which rank failed first, how, and what its last words were."""

import re
import signal
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_TAIL_BYTES = 16384
_MAX_WORDS = 400
# The line of an error, as the command line or Python's traceback ends on it. Libraries warn after it while closing.
_RANK_MARK = re.compile(r"^\[rank\d+\]: ?")
_ERROR_LINE = re.compile(r"nava: |[A-Za-z_][\w.]*(Error|Exception|Interrupt|Exit|Timeout)\b")


@dataclass(frozen=True)
class RankFailure:
    """How a rank failed.

    Attributes:
        rank: global rank; None when it is the agent that failed, before or between ranks.
        exit_code: of the process; negative is the signal that killed it.
        last_words: its error line; empty when it wrote nothing.
        at_s: when it last wrote, seconds since the epoch.
    """

    rank: int | None
    exit_code: int
    last_words: str
    at_s: float

    @property
    def shell_exit_code(self) -> int:
        """The exit code as a shell gives it: 128 + signal for a process that was killed."""
        return self.exit_code if self.exit_code >= 0 else 128 - self.exit_code

    @property
    def was_told_to_end(self) -> bool:
        """Whether it ended because another had failed."""
        return self.exit_code == -signal.SIGTERM

    @property
    def sentence(self) -> str:
        """One line for a reader."""
        who = "the agent" if self.rank is None else f"rank {self.rank}"
        if self.exit_code < 0:
            ended = f"was killed by {_signal_name(-self.exit_code)}"
            if self.exit_code == -signal.SIGKILL and not self.last_words:
                ended += " (out of memory?)"
        else:
            ended = f"ended with exit code {self.exit_code}"
        return f"{who} {ended}" + (f": {self.last_words}" if self.last_words else "")

    def to_json(self) -> dict[str, Any]:
        """As a report file."""
        return asdict(self)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def first_failure(log_dir: Path, ended: dict[int, tuple[int, int]]) -> RankFailure:
    """Of ranks that failed, the one to blame: it fell silent first, and was not told to end.

    A rank that loses its peer fails as well, but only after the peer is gone, and says so later.

    Args:
        log_dir: torchrun's, whose newest run holds `<local rank>/stderr.log`.
        ended: (local rank, exit code) of the ranks that did not end with 0, by global rank.
    """
    logs = rank_logs(log_dir)
    failures = []
    for rank, (local_rank, exit_code) in ended.items():
        files = logs.get(local_rank, [])
        words = next((words for file in files if (words := last_words(file, killed=exit_code < 0))), "")
        written = max((file.stat().st_mtime for file in files), default=0.0)
        failures.append(RankFailure(rank, exit_code, words, written))
    return earliest(failures)


def earliest(failures: list[RankFailure]) -> RankFailure:
    """The failure that came first; those of ranks that were told to end come last."""
    return min(failures, key=lambda failure: (failure.was_told_to_end, failure.at_s))


def rank_logs(log_dir: Path) -> dict[int, list[Path]]:
    """The log files of the newest run under torchrun's folder, stderr first, by local rank."""
    runs = sorted(log_dir.glob("*/attempt_*"), key=lambda path: path.stat().st_mtime)
    if not runs:
        return {}
    return {
        int(folder.name): [file for name in ("stderr.log", "stdout.log") if (file := folder / name).is_file()]
        for folder in runs[-1].iterdir()
        if folder.name.isdigit()
    }


def last_words(file: Path, killed: bool = False) -> str:
    """The error line of a log, else its last line unless the rank was killed; shortened to 400 characters."""
    with file.open("rb") as log:
        log.seek(max(0, file.stat().st_size - _TAIL_BYTES))
        text = log.read().decode(errors="replace")
    # torch marks the lines of a traceback with the rank.
    lines = [line for raw in text.splitlines() if (line := _RANK_MARK.sub("", raw).rstrip())]
    errors = [line for line in lines if _ERROR_LINE.match(line)]
    line = errors[-1] if errors else lines[-1] if lines and not killed else ""
    return line.strip().removeprefix("nava: ")[:_MAX_WORDS]
