"""Runs stages in the processes of torchrun with a clip whose gradient is not finite, or whose loss is not.

python -m tests.training.diverging_runs RUNS.json: as `tests.training.stage_runs`, and "loss": whether the loss is not.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path

from torch import nn

from nava.diffusion.loss import LossTerms
from nava.runtime.errors import NavaError
from nava.training.micro_batches import MicroBatch
from nava.training.objective import Objective
from nava.training.stage import run_stage
from tests.training.stage_runs import job_of

CLIP = "p003"
NAN = float("nan")
_loss = Objective.__call__


def _diverging_loss(self: Objective, model: nn.Module, micro_batch: MicroBatch) -> LossTerms:
    terms = _loss(self, model, micro_batch)
    return replace(terms, total=terms.total * NAN) if CLIP in micro_batch.ids else terms


def _diverging_gradient(self: Objective, model: nn.Module, micro_batch: MicroBatch) -> LossTerms:
    terms = _loss(self, model, micro_batch)
    if CLIP in micro_batch.ids:
        terms.total.register_hook(lambda gradient: gradient * NAN)
    return terms


def main() -> None:
    """Do the runs of a file."""
    for run in json.loads(Path(sys.argv[1]).read_text()):
        Objective.__call__ = _diverging_loss if run.get("loss") else _diverging_gradient  # type: ignore[method-assign]
        workdir = Path(run["workdir"])
        workdir.mkdir(parents=True, exist_ok=True)
        try:
            run_stage(job_of(workdir, run.get("training", {})))
        except NavaError as error:
            sys.exit(f"nava: {error} (exit code {error.exit_code})")


if __name__ == "__main__":
    main()
