import json

import pytest

from nava.registry.training_curves import read_curves
from nava.runtime.handle import Handle
from nava.runtime.store import StepRow


def checkpoint(folder, stage, losses):
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"stage": stage, "step": i, "samples": 16 * i, "loss": loss, "loss_video": None if stage == 1 else loss / 2}
        for i, loss in enumerate(losses, start=1)
    ]
    (folder / "curves.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Handle("checkpoint", str(folder), "0" * 64)


def step(name, handle):
    return StepRow(run_id="r", name=name, handle=handle.to_dict() if handle else None)


@pytest.fixture
def stages(tmp_path):
    return [checkpoint(tmp_path / str(stage), stage, [1.0, 0.5]) for stage in (1, 2, 3)]


def test_the_curves_of_all_stages_are_found_among_the_steps(tmp_path, stages):
    others = [step("ingest", Handle("sources", str(tmp_path), "1" * 64)), step("gate", None)]
    found = read_curves(stages[2], [step(f"train_stage{i}", handle) for i, handle in enumerate(stages, 1)] + others)
    assert sorted(found) == ["stage1/loss", "stage2/loss", "stage2/loss_video", "stage3/loss", "stage3/loss_video"]
    assert found["stage2/loss_video"] == [(1, 0.5), (2, 0.25)]


def test_the_last_stage_is_enough(stages):
    assert sorted(read_curves(stages[2], [])) == ["stage3/loss", "stage3/loss_video"]


def test_a_checkpoint_without_curves_has_none(tmp_path):
    folder = tmp_path / "bare"
    folder.mkdir()
    assert read_curves(Handle("checkpoint", str(folder), "0" * 64), []) == {}
