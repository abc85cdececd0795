"""Loss curves: means over a step's micro-batches, and lines that are the same in every run."""

from pathlib import Path

import torch

from nava.diffusion.loss import LossTerms
from nava.training.curves import curve_row, read_curves, write_curves


def terms(total: float, video: float | None, audio: float | None) -> LossTerms:
    as_tensor = [None if value is None else torch.tensor(value) for value in (total, video, audio)]
    return LossTerms(*as_tensor)


def test_a_row_is_the_mean_over_the_micro_batches_that_had_the_modality() -> None:
    row = curve_row(2, 7, 224, [terms(3.0, 1.0, 2.0), terms(1.0, None, 1.0)], lr=1e-3, grad_norm=0.5)
    assert (row.stage, row.step, row.samples, row.lr, row.grad_norm) == (2, 7, 224, 1e-3, 0.5)
    assert (row.loss, row.loss_video, row.loss_audio) == (2.0, 1.0, 1.5)


def test_an_audio_only_step_has_no_video_loss() -> None:
    assert curve_row(1, 1, 16, [terms(1.0, None, 1.0)], lr=1e-3, grad_norm=0.5).loss_video is None


def test_rows_come_back_and_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    rows = [
        curve_row(1, step, 16 * step, [terms(1 / step, None, 1 / step)], lr=0.1, grad_norm=1 / 3) for step in (1, 2)
    ]
    for name in ("a.jsonl", "b.jsonl"):
        write_curves(tmp_path / name, rows)
    assert read_curves(tmp_path / "a.jsonl") == rows
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 2


def test_no_rows_are_an_empty_file(tmp_path: Path) -> None:
    write_curves(tmp_path / "c.jsonl", [])
    assert read_curves(tmp_path / "c.jsonl") == []
