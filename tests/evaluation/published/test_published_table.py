"""Published tables: of metrics that the catalogue knows, with the figures of the pages."""

import pytest

from nava.evaluation.benchmark.task import task_names
from nava.evaluation.published import table
from nava.evaluation.published.table import published_table
from nava.runtime.errors import InputError


def test_nava_s_table_is_as_on_its_page() -> None:
    found = published_table("verse_bench_nava")
    assert found is not None
    assert [row.model for row in found.rows] == ["Ovi 1.1", "MOVA", "daVinci-MagiHuman", "LTX 2.3", "NAVA"]
    assert found.row("nava").values == {
        "Sync-C": 7.7914, "Sync-D": 7.5655, "IB": 0.313, "VQ": 0.659, "WER": 0.099, "PQ": 6.8609, "FD": 0.8328,
    }  # fmt: skip


def test_every_table_is_of_a_task_that_there_is() -> None:
    for path in table.FOLDER.glob("*.yaml"):
        assert path.stem in task_names()
        assert published_table(path.stem).task == path.stem
    assert published_table("builtin") is None


def test_a_wrong_table_is_refused() -> None:
    value = {"schema_version": 1, "task": "t", "source": "s", "columns": {"A": "flicker"}, "rows": []}
    with pytest.raises(InputError, match="columns names beauty"):
        table._parse({**value, "columns": {"A": "beauty"}}, "t.yaml")
    rows = [{"model": "m", "size": "", "resolution": "", "values": {"B": 1.0}}]
    with pytest.raises(InputError, match="m has values of B, which is no column"):
        table._parse({**value, "rows": rows}, "t.yaml")
