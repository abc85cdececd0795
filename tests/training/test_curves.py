"""Loss curves: lines that are the same in every run."""

from pathlib import Path

from nava.training.curves import CurveRow, read_curves, write_curves


def test_rows_come_back_and_the_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    rows = [CurveRow(1, step, 16 * step, 1 / step, None, 1 / step, lr=0.1, grad_norm=1 / 3) for step in (1, 2)]
    for name in ("a.jsonl", "b.jsonl"):
        write_curves(tmp_path / name, rows)
    assert read_curves(tmp_path / "a.jsonl") == rows
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
    assert len((tmp_path / "a.jsonl").read_text().splitlines()) == 2


def test_no_rows_are_an_empty_file(tmp_path: Path) -> None:
    write_curves(tmp_path / "c.jsonl", [])
    assert read_curves(tmp_path / "c.jsonl") == []
