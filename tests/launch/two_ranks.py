"""What the launcher's tests run on every rank, by the first argument: a sum over all ranks and an end, or a wait."""

import os
import signal
import sys
import time
from pathlib import Path

ENDS = {
    "wrong-input": (2, "training.stage1.steps is 0; it must be at least 1"),
    "diverged": (4, "the loss is nan"),
    "stopped": (143, "2 of 9 steps are saved"),
}


def meet(what: str, argument: str) -> None:
    """Gloo, a sum over all ranks; then the rank that the argument names ends in some way and the others wait for it."""
    import torch
    import torch.distributed as dist

    dist.init_process_group("gloo")
    rank, size = dist.get_rank(), dist.get_world_size()
    total = torch.tensor([float(rank + 1)])
    dist.all_reduce(total)
    print(f"sum {total.item():.0f} of {size} ranks, {os.environ.get('COLOUR')}, {Path.cwd().name}", flush=True)
    if argument and rank == int(argument):
        end(what, rank)
    dist.barrier()
    dist.destroy_process_group()


def end(what: str, rank: int) -> None:
    if what == "fail":
        raise ValueError(f"rank {rank} cannot go on")
    if what == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    code, words = ENDS[what]
    print(f"nava: {words}", file=sys.stderr, flush=True)
    os._exit(code)


def wait(what: str, folder: Path) -> None:
    """Until SIGTERM, then save for a moment; a stubborn rank not even then."""
    rank = os.environ["RANK"]
    told = []
    signal.signal(signal.SIGTERM, lambda *_: told.append(True))
    (folder / f"ready{rank}").write_text(str(os.getpid()))
    while what == "stubborn" or not told:
        time.sleep(0.05)
    time.sleep(0.3)
    (folder / f"saved{rank}").write_text("saved")


def main(what: str, argument: str = "") -> None:
    if what in ("wait", "stubborn"):
        wait(what, Path(argument))
    else:
        meet(what, argument)


if __name__ == "__main__":
    main(*sys.argv[1:])
