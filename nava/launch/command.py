"""What is launched, and the one interface of what launches it."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from nava.config.launch import LaunchConfig
from nava.runtime.errors import (
    EXIT_DIVERGED,
    EXIT_FAILED,
    EXIT_GATE_FAILED,
    EXIT_STOPPED,
    EXIT_WRONG_INPUT,
    InputError,
    NavaError,
)
from nava.runtime.secret_values import holds_password, names_secret

PYTHON = "python"
# The same again would end the same way: whoever retries must not.
FINAL_EXIT_CODES = (EXIT_WRONG_INPUT, EXIT_GATE_FAILED, EXIT_DIVERGED)
# A pod's name is that of the job and `-node-0-15-abcde`, and may have 63 characters.
_MAX_NAME = 40
_KEY_DIGITS = 12
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class TrainingCommand:
    """One process per rank runs this.

    Attributes:
        name: the step's name, as in "train_stage1".
        key: the step's key; the same key is the same job.
        argv: program and arguments. The program "python" is this interpreter here and the image's there.
        env: variables besides those the process inherits. No secrets: the cluster's are in `secret_env`.
        workdir: where it runs; on a cluster a path on a volume that all pods mount.
        grace_period_s: what SIGTERM leaves a rank to save and end.
        result: what is there, here too, once it is done: a job that is complete without it is run again. None where
            nobody looks.
    """

    name: str
    key: str
    argv: tuple[str, ...]
    workdir: Path
    env: Mapping[str, str] = field(default_factory=dict)
    grace_period_s: float = 120.0
    result: Path | None = None

    def check(self) -> None:
        """Refuse what cannot be launched, and secrets by value.

        Raises:
            InputError: names the variable or the argument, never its value.
        """
        if not self.argv or not self.key:
            raise InputError("a training command needs a program and a key")
        for name, value in self.env.items():
            if not _VARIABLE.fullmatch(name):
                raise InputError(f"'{name}' cannot be the name of an environment variable")
            if names_secret(name) or holds_password(value):
                raise InputError(
                    f"variable {name} of the training command holds a secret by value; take it out and name it in "
                    f"launch.kubernetes.secret_env as {name}=secret/key"
                )
        for position, argument in enumerate(self.argv):
            option, separator, _ = argument.partition("=")
            after = self.argv[position - 1] if position else ""
            by_option = (separator and names_secret(option)) or (after.startswith("--") and names_secret(after))
            if by_option or holds_password(argument):
                raise InputError(
                    f"argument {position} of the training command holds a secret by value; give it as a variable "
                    "through launch.kubernetes.secret_env"
                )


class Launcher(Protocol):
    """Runs a command on every rank and waits for it."""

    def run(self, command: TrainingCommand) -> None:
        """Run the command to its end; the lines of the ranks come on stdout.

        Raises:
            InputError: the command or a setting cannot be launched; nothing was started.
            LaunchFailedError: a rank failed; the message names it, its exit code and its last words.
            LaunchStoppedError: this process was told to stop (SIGTERM), and the ranks with it; or ranks were.
            KeyboardInterrupt: likewise by Ctrl-C.
        """


class LaunchFailedError(NavaError):
    """A rank, or the job as a whole, failed.

    Args:
        message: which, how, and its last words.
        rank_exit_code: as the rank ended; 2, 3 and 4 keep their meaning, others are 1.
    """

    def __init__(self, message: str, rank_exit_code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.rank_exit_code = rank_exit_code
        self.exit_code = rank_exit_code if rank_exit_code in FINAL_EXIT_CODES else EXIT_FAILED


class LaunchStoppedError(NavaError):
    """This process or its ranks were told to stop: all of them have ended, and saved if the grace period sufficed."""

    exit_code = EXIT_STOPPED
    state = "interrupted"


def job_name(command: TrainingCommand) -> str:
    """The name of a command's job: the same for the same name and key, and a DNS label (RFC 1035) of at most 40."""
    digest = hashlib.sha256(f"{command.name}\0{command.key}".encode()).hexdigest()[:_KEY_DIGITS]
    slug = re.sub(r"[^a-z0-9]+", "-", command.name.lower()).strip("-")
    slug = slug[: _MAX_NAME - len("nava-") - 1 - _KEY_DIGITS].strip("-")
    return f"nava-{slug}-{digest}" if slug else f"nava-{digest}"


def make_launcher(config: LaunchConfig, machine: int = 0) -> Launcher:
    """The launcher that `launch.target` asks for.

    Args:
        config: where the ranks run.
        machine: which one this is of several that share a folder through `launch.rendezvous`; its files are named so.
    """
    if config.target == "kubernetes":
        from nava.launch.cluster import ClusterLauncher
        from nava.launch.cluster_client import connect

        return ClusterLauncher(config, connect(config.kubernetes))
    from nava.launch.processes import ProcessLauncher

    return ProcessLauncher(config, machine)
