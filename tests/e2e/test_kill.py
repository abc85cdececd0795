"""kill -9 of the whole process group in the middle of stage 2, then the same command again."""

import time
from pathlib import Path

import pytest

from tests.e2e.life_cycle import Ending, checkpoint_hash, kill, run, start

pytestmark = pytest.mark.e2e
# Stage 2 is made long enough to be killed in its middle, the rest as short as it can be.
SETTINGS = (
    "synthetic.videos=8",
    "training.stage1.steps=4",
    "training.stage2.steps=60",
    "training.stage3.steps=4",
    "training.checkpoint_every_steps=5",
)
BEFORE = ["ingest", "curate", "validate", "version", "encode", "train_stage1"]


def kill_in_stage_2(workspace: Path) -> None:
    """Start the run and kill its process group once stage 2 has written a checkpoint."""
    process = start(workspace, *SETTINGS)
    pattern = "smoke/steps/train_stage2/*/checkpoints/*/manifest.json"
    while process.poll() is None and not list(workspace.glob(pattern)):
        time.sleep(0.05)
    assert process.poll() is None, "the run ended before it could be killed"
    kill(process)
    assert not list(workspace.glob("smoke/steps/train_stage2/*/result.json")), "stage 2 was over before the kill"


@pytest.fixture(scope="module")
def killed_and_resumed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ending]:
    workspace = tmp_path_factory.mktemp("killed")
    kill_in_stage_2(workspace)
    return workspace, run(workspace, *SETTINGS)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Ending]:
    workspace = tmp_path_factory.mktemp("undisturbed")
    return workspace, run(workspace, *SETTINGS)


def test_finished_steps_are_not_repeated(killed_and_resumed: tuple[Path, Ending]) -> None:
    _, ending = killed_and_resumed
    assert ending.code in (0, 3), ending.output
    assert not set(BEFORE) & set(ending.executed())
    assert "train_stage2" in ending.executed()


def test_training_goes_on_from_its_last_complete_checkpoint(killed_and_resumed: tuple[Path, Ending]) -> None:
    workspace, ending = killed_and_resumed
    log = workspace / "smoke" / "logs" / ending.summary["run_id"] / "train_stage2.log"
    assert "stage 2: goes on after step" in log.read_text()


# CI holds killed training against undisturbed in tests/training/test_kills.py; two whole life cycles are the soak's.
@pytest.mark.soak
def test_the_result_is_the_same_as_without_the_kill(
    killed_and_resumed: tuple[Path, Ending], undisturbed: tuple[Path, Ending]
) -> None:
    assert undisturbed[1].code in (0, 3), undisturbed[1].output
    assert checkpoint_hash(*killed_and_resumed) == checkpoint_hash(*undisturbed)


def test_the_killed_run_is_recorded_as_interrupted(killed_and_resumed: tuple[Path, Ending]) -> None:
    from sqlalchemy import select

    from nava.runtime.store import RunRow, Store

    workspace, _ = killed_and_resumed
    with Store(f"sqlite:///{workspace / 'smoke' / 'store.db'}").session() as session:
        states = {run.state for run in session.scalars(select(RunRow))}
    assert "interrupted" in states
