"""The agent of one node: torchrun, with an end that says which rank failed and exits as it did.

`python -m nava.launch.agent [options] -- PROGRAM ARGUMENTS...`. What is not given as an option torchrun takes from
the variables PET_NNODES, PET_NPROC_PER_NODE, PET_NODE_RANK, PET_MASTER_ADDR and PET_MASTER_PORT, as Kubeflow's Trainer
sets them in a pod.

Exit codes: that of the first rank that failed, 128 + its signal if one killed it; 143 when told to stop (SIGTERM).
"""

import argparse
import io
import logging
import os
import signal
import sys
import time
from pathlib import Path

from nava.launch.failure import RankFailure, first_failure
from nava.launch.rank import AGENT_PID
from nava.runtime.errors import EXIT_DONE, EXIT_FAILED
from nava.runtime.parent_death import die_with_parent, end_after_parent
from nava.runtime.storage import write_json

# Beyond the ranks' grace, to copy their last lines and report.
_PATIENCE_S = 30.0


def _arguments(argv: list[str]) -> tuple[argparse.Namespace, list[str]]:
    options, program = argv, []
    if "--" in argv:
        options, program = argv[: argv.index("--")], argv[argv.index("--") + 1 :]
    parser = argparse.ArgumentParser(prog="nava.launch.agent")
    parser.add_argument("--log-dir", type=Path, required=True, help="the ranks' output goes there as well")
    parser.add_argument("--workdir", type=Path, help="where the ranks run")
    parser.add_argument("--grace-s", type=int, default=120, help="what SIGTERM leaves the ranks")
    parser.add_argument("--nodes", type=int)
    parser.add_argument("--processes", type=int, help="of this node")
    parser.add_argument("--rendezvous", default="", help="host:port where the nodes meet")
    parser.add_argument("--rendezvous-id", default="nava")
    parser.add_argument("--rendezvous-timeout-s", type=int, default=1800)
    parser.add_argument("--report", type=Path, help="write the failure there instead of on stderr")
    parser.add_argument("--parent", type=int, help="end when this process, which started the agent, ends")
    arguments = parser.parse_args(options)
    if not program:
        parser.error("no program; write it after --")
    return arguments, program


def torchrun_arguments(arguments: argparse.Namespace, program: list[str]) -> list[str]:
    """What torchrun is given."""
    timeout_s = arguments.rendezvous_timeout_s
    given = ["--role", "rank", "--tee", "3", "--log-dir", str(arguments.log_dir), "--max-restarts", "0"]
    given += ["--shutdown-timeout", str(arguments.grace_s)]
    given += ["--rdzv-conf", f"timeout={timeout_s},join_timeout={timeout_s}"]
    if arguments.nodes is not None:
        given += ["--nnodes", str(arguments.nodes)]
    if arguments.processes is not None:
        given += ["--nproc-per-node", str(arguments.processes)]
    if arguments.rendezvous:
        given += ["--rdzv-backend", "c10d", "--rdzv-endpoint", arguments.rendezvous]
        given += ["--rdzv-id", arguments.rendezvous_id]
    elif arguments.nodes == 1:
        given += ["--standalone"]
    python = [sys.executable, "-m", "nava.launch.rank"]
    return [*given, "--no-python", *python, *program]


def _run(arguments: argparse.Namespace, program: list[str]) -> int:
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.run import parse_args, run

    # What torchrun says of failures comes again below, shorter.
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    try:
        run(parse_args(torchrun_arguments(arguments, program)))
    except ChildFailedError as error:
        ended = {rank: (item.local_rank, item.exitcode) for rank, item in error.failures.items()}
        failure = first_failure(arguments.log_dir, ended)
        _tell(arguments.report, failure)
        return failure.shell_exit_code
    except SignalException as error:
        print(f"nava: told to stop ({error.sigval.name}); the ranks of this node have ended", file=sys.stderr)
        return 128 + int(error.sigval)
    return EXIT_DONE


def _tell(report: Path | None, failure: RankFailure) -> None:
    if report is None:
        print(f"nava: {failure.sentence}", file=sys.stderr)
    else:
        write_json(report, failure.to_json())


def main(argv: list[str]) -> int:
    """Run the ranks of this node to their end."""
    arguments, program = _arguments(argv)
    if arguments.parent is not None:
        # The agent then stops its ranks as when it is told to.
        die_with_parent(signal.SIGTERM, arguments.parent)
        # torchrun, told to stop while it starts, was once seen to hang with its ranks dead.
        end_after_parent(arguments.parent, arguments.grace_s + _PATIENCE_S)
    # torchrun does not flush the lines it copies.
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)
    # Unbuffered programs write a line in pieces, between which another rank's could come.
    os.environ["PYTHONUNBUFFERED"] = ""
    os.environ["TORCHELASTIC_LOG_LINE_PREFIX_TEMPLATE"] = "[rank ${rank}] "
    os.environ[AGENT_PID] = str(os.getpid())
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    # A store whose other end is gone is told with C++ stack traces otherwise.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    arguments.log_dir = arguments.log_dir.absolute()
    arguments.log_dir.mkdir(parents=True, exist_ok=True)
    if arguments.workdir is not None:
        os.chdir(arguments.workdir)
    try:
        return _run(arguments, program)
    except Exception as error:
        # A rendezvous that nobody else came to, a port that is taken.
        line = (str(error).strip() or type(error).__name__).splitlines()[0]
        _tell(arguments.report, RankFailure(None, EXIT_FAILED, f"{type(error).__name__}: {line}", time.time()))
        return EXIT_FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
