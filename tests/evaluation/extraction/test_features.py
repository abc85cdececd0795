"""Features: kept as they are, never a number that is none."""

from pathlib import Path

import numpy as np
import pytest

from nava.evaluation.extraction.features import Features, UnmeasurableError, read_features, scored, write_features
from nava.evaluation.scoring.score import Score


def test_what_is_written_is_read(tmp_path: Path) -> None:
    features = Features({"text": "hé", "n": 3, "x": 0.5, "gone": None}, {"a_ND": np.arange(6.0).reshape(2, 3)})
    write_features(tmp_path / "f", features)
    again = read_features(tmp_path / "f")
    assert again.values == features.values
    assert np.array_equal(again.arrays["a_ND"], features.arrays["a_ND"])
    write_features(tmp_path / "g", Features({"only": "values"}))
    assert read_features(tmp_path / "g").values == {"only": "values"}


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_what_is_not_finite_is_refused_by_name(tmp_path: Path, wrong: float) -> None:
    with pytest.raises(UnmeasurableError, match="not finite: x"):
        write_features(tmp_path / "f", Features({"x": wrong}))
    with pytest.raises(UnmeasurableError, match="not finite: a_T"):
        write_features(tmp_path / "f", Features(arrays={"a_T": np.array([1.0, wrong])}))
    assert not (tmp_path / "f").exists()


def test_a_null_keeps_its_reason() -> None:
    features = Features(scored(loud=Score(2.0), low=Score.missing("silent")))
    assert features.score("loud") == Score(2.0)
    assert features.score("low") == Score.missing("silent")
    with pytest.raises(UnmeasurableError, match="the clip has no motion"):
        features.array("motion_TB")
