"""Whether a process is there, for tests that end some."""

from pathlib import Path


def is_running(pid: int) -> bool:
    """Whether it has not ended; one that nobody has waited for yet has. Reads /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
