"""A jump of the loss: what counts as one, and what each policy does about it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from nava.config.training_guard import GuardConfig
from nava.data.shards import LatentBatch
from nava.runtime.errors import EXIT_DIVERGED
from nava.training.curves import CurveRow
from nava.training.run_folder import read_rows
from nava.training.spikes import LossSpikeError, few_of, spike_threshold
from nava.training.stage import StageJob, run_stage
from tests.training.latents_in_memory import LatentsInMemory
from tests.training.stage_runs import job_of

WATCHED = GuardConfig(spike_policy="skip", spike_factor=8.0, spike_window=20)


def rows(losses: Sequence[float], with_video: bool = False) -> list[CurveRow]:
    return [
        CurveRow(1, step, step, loss, loss if with_video else None, loss, 1e-3, 1.0)
        for step, loss in enumerate(losses, 1)
    ]


def test_the_threshold_is_so_many_deviations_above_the_median() -> None:
    history = rows([1.0, 1.2, 0.8, 1.1, 0.9, 1.0, 1.2, 0.8, 1.1, 0.9])
    # The deviations from the median, 1.0, are 0, 0, .1, .1, .1, .1, .2, .2, .2, .2: their median is 0.1.
    assert spike_threshold(WATCHED, history, with_video=False) == pytest.approx(1.0 + 8 * 1.4826 * 0.1)


def test_too_short_a_history_and_the_policy_off_make_no_spike() -> None:
    assert spike_threshold(WATCHED, rows([1.0] * 9), with_video=False) == float("inf")
    assert spike_threshold(replace(WATCHED, spike_policy="off"), rows([1.0] * 30), with_video=False) == float("inf")


def test_steps_with_video_are_compared_with_their_own_kind() -> None:
    history = [*rows([1.0] * 12), *rows([5.0] * 12, with_video=True)]
    assert spike_threshold(WATCHED, history, with_video=False) < 2
    assert spike_threshold(WATCHED, history, with_video=True) > 5


def test_a_loss_that_hardly_varies_still_may_a_little() -> None:
    assert spike_threshold(WATCHED, rows([2.0] * 20), with_video=False) == pytest.approx(2.0 + 8 * 0.02)


class _Loud(LatentsInMemory):
    """From its so-manieth micro-batch on, one is a thousand times too loud."""

    def __init__(self, loud: int) -> None:
        super().__init__()
        self._loud, self._reads = loud, 0

    def read(self, ids: Sequence[str], **wanted: object) -> LatentBatch:
        batch = super().read(ids, **wanted)
        if self.entries[ids[0]].split == "train":
            self._reads += 1
            if self._reads == self._loud:
                batch.audio_BLC.mul_(1000)
        return batch


def job(workdir: Path, policy: str, engine: str, zero_stage: int = 1, loud: int = 31) -> StageJob:
    workdir.mkdir()
    guard = {"spike_policy": policy, "spike_factor": 30.0}
    found = job_of(workdir, {"engine": engine, "zero_stage": zero_stage, "guard": guard, "micro_batches_per_step": 1})
    found.training.stage2.steps = 40
    return replace(found, shards=_Loud(loud), loader=replace(found.loader, prefetch=0, run_length=1))


ENGINES = [("plain", 1), ("deepspeed", 0), ("deepspeed", 1), ("deepspeed", 2), ("deepspeed", 3)]


@pytest.mark.parametrize(("engine", "zero_stage"), ENGINES)
def test_a_skipped_step_leaves_no_trace(tmp_path: Path, engine: str, zero_stage: int) -> None:
    """The steps after it are those of a run in which that micro-batch was as it should be and its update left out."""
    run_stage(job(tmp_path / "skip", "skip", engine, zero_stage))
    rows = read_rows(tmp_path / "skip" / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 41))
    assert max(row["loss"] for row in rows) < 100
    events = [json.loads(line) for line in (tmp_path / "skip" / "events.jsonl").read_text().splitlines()]
    [spike] = [event for event in events if event["event"] == "spike"]
    assert (spike["policy"], spike["step"]) == ("skip", 31)
    assert spike["loss"] > spike["limit"]
    assert spike["clips"]
    # The plain engine, whose skip is plainly one, is what the others are compared with.
    if engine != "plain":
        run_stage(job(tmp_path / "plain", "skip", "plain"))
        expected = read_rows(tmp_path / "plain" / "metrics.jsonl")
        assert [row["loss"] for row in rows] == pytest.approx([row["loss"] for row in expected], rel=2e-5)


def test_rewinding_goes_back_to_the_last_save_and_past_the_micro_batches_since(tmp_path: Path) -> None:
    run_stage(job(tmp_path / "rewind", "rewind", "plain", loud=33))
    rows = read_rows(tmp_path / "rewind" / "metrics.jsonl")
    assert [row["step"] for row in rows] == list(range(1, 41))
    assert max(row["loss"] for row in rows) < 100
    quiet = job(tmp_path / "quiet", "rewind", "plain", loud=10**9)
    run_stage(quiet)
    undisturbed = [row["batches"] for row in read_rows(tmp_path / "quiet" / "metrics.jsonl")]
    seen = [row["batches"] for row in rows]
    # The spike was at step 33; steps 31 and 32 are done again, with what came after it.
    assert seen[:30] == undisturbed[:30]
    assert seen[30:37] == undisturbed[33:40]


def test_stopping_names_the_clips_and_saves_nothing_of_the_step(tmp_path: Path) -> None:
    with pytest.raises(
        LossSpikeError, match=r"step 33: the loss is .* above .*\. Nothing .* its clips: [ps]\d\d\d.* events.jsonl$"
    ) as stopped:
        run_stage(job(tmp_path / "stop", "stop", "plain", loud=33))
    assert stopped.value.exit_code == EXIT_DIVERGED
    assert sorted(path.name for path in (tmp_path / "stop" / "checkpoints").iterdir())[-1] == "step-00000030"


def test_a_line_names_the_first_clips_and_how_many_more_there_are() -> None:
    assert few_of(["a", "b"]) == "clips: a, b, all in events.jsonl"
    assert few_of(list("abcdefg")) == "clips: a, b, c, d and 3 more, all in events.jsonl"


def test_too_many_spikes_stop_the_run(tmp_path: Path) -> None:
    found = job(tmp_path / "often", "skip", "plain")
    found.training.guard.max_spikes = 1

    class Always(_Loud):
        def read(self, ids: Sequence[str], **wanted: object) -> LatentBatch:
            batch = super().read(ids, **wanted)
            if self._reads > 30:
                batch.audio_BLC.mul_(1000)
            return batch

    with pytest.raises(LossSpikeError, match="spike number 2"):
        run_stage(replace(found, shards=Always(10**9)))
