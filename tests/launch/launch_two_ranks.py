"""A process that launches two ranks here, for tests that stop or kill it: FOLDER, GRACE_S, what the ranks do."""

import sys
from pathlib import Path

from nava.config.launch import LaunchConfig
from nava.launch.command import TrainingCommand, make_launcher
from nava.runtime.errors import NavaError

RANKS = Path(__file__).with_name("two_ranks.py")


def main(folder: str, grace_s: str, what: str) -> int:
    argv = ("python", str(RANKS), what, folder)
    command = TrainingCommand("train_stage1", "key", argv, Path(folder), grace_period_s=float(grace_s))
    try:
        make_launcher(LaunchConfig(processes_per_node=2)).run(command)
    except NavaError as error:
        print(f"nava: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
