"""The doctor tells a metric that notices from one that does not, and from one that notices what it should not."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from nava.evaluation.benchmark.builtin import BuiltinBenchmark, make_builtin
from nava.evaluation.catalogue import scorers
from nava.evaluation.doctor.diagnose import Finding, diagnose
from nava.evaluation.run.score import ScoringSettings
from nava.evaluation.scoring.score import Score
from tests.evaluation.benchmark_items import a_task

METRICS = ("flicker", "frozen_share", "silence_share", "known_onset_f1")
ONE = ScoringSettings(workers=1, attempts=1)


def quietly(things: Iterable[Any], _total: int, _label: str) -> Iterable[Any]:
    return things


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> tuple[BuiltinBenchmark, Path]:
    folder = tmp_path_factory.mktemp("doctor")
    made = make_builtin(folder / "builtin", per_kind=2)
    kept = tuple(item for item in made.items if item.subset in ("impact", "flash"))
    return BuiltinBenchmark(made.folder, kept), folder / "work"


def examined(place: tuple[BuiltinBenchmark, Path]) -> dict[tuple[str, str], Finding]:
    findings = diagnose(place[0], a_task(*METRICS), place[1], ONE, quietly)
    return {(finding.column.partition("[")[0], finding.perturbation): finding for finding in findings}


def test_metrics_notice_what_their_manifests_say_and_nothing_else(place: tuple[BuiltinBenchmark, Path]) -> None:
    found = examined(place)
    wrong = {key: finding for key, finding in found.items() if finding.held is not True}
    assert not wrong
    assert found["flicker", "flicker"].expected == "worse"
    assert found["flicker", "flicker"].auroc == 1.0
    assert found["flicker", "flicker"].spoilt > found["flicker", "flicker"].whole
    assert found["known_onset_f1", "audio_shifted"].spoilt < 0.5 < found["known_onset_f1", "audio_shifted"].whole
    assert found["flicker", "noise"].expected == "same"


def test_a_scorer_that_notices_nothing_is_found_out(
    place: tuple[BuiltinBenchmark, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scorers.SCORERS, "flicker", lambda _found, _item: Score(1.0))
    assert examined(place)["flicker", "flicker"].held is False


def test_a_scorer_that_is_upside_down_is_found_out(
    place: tuple[BuiltinBenchmark, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = scorers.SCORERS["flicker"]

    def upside_down(found: Any, item: Any) -> Score:
        return Score(-right(found, item).value)

    monkeypatch.setitem(scorers.SCORERS, "flicker", upside_down)
    assert examined(place)["flicker", "flicker"].held is False


def test_a_scorer_that_looks_at_the_wrong_thing_is_found_out(
    place: tuple[BuiltinBenchmark, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(scorers.SCORERS, "silence", lambda found, _item: found["generated"].score("loudness_lufs"))
    assert examined(place)["silence_share", "silence"].held is not False, "a value that becomes a reason is noticed"
    monkeypatch.setitem(scorers.SCORERS, "frozen", lambda found, _item: found["generated"].score("sharpness"))
    assert examined(place)["frozen_share", "frozen"].held is False
