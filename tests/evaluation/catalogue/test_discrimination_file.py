"""What backends were seen to tell apart is in the package, about backends that there are, and in the docs."""

from pathlib import Path

import pytest

from nava.evaluation.catalogue.discrimination import Discrimination, discrimination, record
from nava.evaluation.catalogue.manifest import catalogue
from nava.evaluation.catalogue.perturbations import GRADES, PERTURBATIONS
from nava.evaluation.catalogue.table import metric_table
from nava.evaluation.doctor.diagnose import Finding
from nava.runtime.storage import read_json

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"
WHERE = "`nava eval doctor -o DIR --record`"


def embedded() -> list[tuple[str, str]]:
    """Every embedded column that the built-in benchmark has, with what it must notice."""
    return [
        (manifest.column(backend.backend), perturbation)
        for manifest in catalogue().values()
        for backend in manifest.backends
        if backend.tier == "embedded" and manifest.column(backend.backend) in discrimination()
        for perturbation in manifest.sensitive_to
    ]


def test_the_file_is_about_columns_and_perturbations_that_there_are() -> None:
    columns = {manifest.column(one.backend): one for manifest in catalogue().values() for one in manifest.backends}
    known = {*PERTURBATIONS, *(" > ".join(names) for names in GRADES.values())}
    for column, entries in discrimination().items():
        assert columns[column].tier == "embedded", column
        assert {entry.perturbation for entry in entries} <= known
        for entry in entries:
            assert 0 <= entry.ci_low <= entry.auroc <= entry.ci_high <= 1


def test_metrics_of_the_built_in_benchmark_are_in_the_file() -> None:
    assert len(discrimination()) >= 12, f"write it with {WHERE}"
    assert len(embedded()) >= 15


def test_the_docs_hold_the_table() -> None:
    table = metric_table(catalogue().values())
    assert DOCS.read_text(encoding="utf-8") == table, "write it with `nava eval metrics --markdown > docs/metrics.md`"


@pytest.mark.parametrize(
    ("low", "expected", "verdict"),
    [
        (0.8, "worse", "tells"),
        (0.6, "worse", "mostly tells"),
        (0.4, "worse", "is not shown to tell"),
        (0.4, "same", "does not tell"),
    ],
)
def test_a_sentence_claims_no_more_than_the_interval(low: float, expected: str, verdict: str) -> None:
    entry = Discrimination("flicker[frames]", "blur", 0.9, low, 1.0, 8, expected)
    assert entry.sentence == f"{verdict} blur (Gaussian blur of the picture): AUROC 0.90 [{low:.2f}, 1.00], 8 clips"


def test_what_was_not_seen_is_not_recorded(tmp_path: Path) -> None:
    seen = Finding("b[x]", "blur", "worse", True, 1.0, 0.5, 0.91234, 0.7, 1.0, 8)
    unseen = Finding("a[x]", "blur", "worse", None, None, None, None, None, None, 0, "0 clips")
    record([seen, unseen], tmp_path / "found.json")
    (entry,) = read_json(tmp_path / "found.json")["columns"]
    assert entry["column"] == "b[x]"
    assert entry["auroc"] == 0.9123
