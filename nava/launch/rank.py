"""Becomes one rank: `python -m nava.launch.rank PROGRAM ARGUMENTS...`, which then is killed when its agent dies."""

import os
import signal
import sys

from nava.runtime.parent_death import die_with_parent

AGENT_PID = "NAVA_LAUNCH_AGENT_PID"


def main(argv: list[str]) -> None:
    """Replace this process by the program; what was asked of the kernel stays with it."""
    die_with_parent(signal.SIGKILL, int(os.environ.pop(AGENT_PID)))
    os.execvp(argv[0], argv)  # noqa: S606 - a list, and no shell is wanted


if __name__ == "__main__":
    main(sys.argv[1:])
