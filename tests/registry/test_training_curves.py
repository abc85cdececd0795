import pytest

from nava.registry.training_curves import read_curves
from nava.runtime.handle import Handle
from nava.runtime.store import StepRow
from nava.training.curves import CurveRow, write_curves


def checkpoint(folder, stage, losses):
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        CurveRow(stage, i, 16 * i, loss, None if stage == 1 else loss / 2, None, 1e-3, 1.0)
        for i, loss in enumerate(losses, start=1)
    ]
    write_curves(folder / "curves.jsonl", rows)
    return Handle("checkpoint", str(folder), "0" * 64)


def step(name, handle):
    return StepRow(run_id="r", name=name, handle=handle.to_dict() if handle else None)


@pytest.fixture
def stages(tmp_path):
    return [checkpoint(tmp_path / str(stage), stage, [1.0, 0.5]) for stage in (1, 2, 3)]


def test_the_curves_of_all_stages_are_found_among_the_steps(tmp_path, stages):
    others = [step("ingest", Handle("sources", str(tmp_path), "1" * 64)), step("gate", None)]
    found = read_curves(stages[2], [step(f"train_stage{i}", handle) for i, handle in enumerate(stages, 1)] + others)
    every = ("grad_norm", "loss", "lr")
    assert [name for name in sorted(found) if name.startswith("stage1/")] == [f"stage1/{name}" for name in every]
    assert {name.partition("/")[0] for name in found} == {"stage1", "stage2", "stage3"}
    assert found["stage2/loss_video"] == [(1, 0.5), (2, 0.25)]


def test_the_last_stage_is_enough(stages):
    names = ("grad_norm", "loss", "loss_video", "lr")
    assert sorted(read_curves(stages[2], [])) == [f"stage3/{name}" for name in names]


def test_a_checkpoint_without_curves_has_none(tmp_path):
    folder = tmp_path / "bare"
    folder.mkdir()
    assert read_curves(Handle("checkpoint", str(folder), "0" * 64), []) == {}
