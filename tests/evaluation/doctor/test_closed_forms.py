"""Cases with known answers are all right, and a scorer that is wrong by little is found by them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from nava.evaluation.doctor import closed_forms as module
from nava.evaluation.doctor.closed_forms import closed_forms
from nava.evaluation.scoring.score import Score


def wrong() -> list[str]:
    return [case.name for case in closed_forms() if not case.held]


def test_every_case_comes_out_as_it_must() -> None:
    assert wrong() == []
    assert len(closed_forms()) > 40


def a_frame_off(video_ND: np.ndarray, audio_ND: np.ndarray, scored: Callable[..., Any] = module.sync_score) -> Any:
    return scored(video_ND, np.roll(audio_ND, 1, axis=0))


@pytest.mark.parametrize(
    ("scorer", "replacement", "found_by"),
    [
        ("sync_score", a_frame_off, "synchrony"),
        ("frechet_of_gaussians", lambda *given: 0.0, "Fréchet"),
        ("desync", lambda early, late: Score(0.5), "DeSync"),
        ("pair_clap_distance", lambda first, second: Score(1 - float(first @ second)), "pair distance"),
        ("cosine", lambda first, second: Score(float(first @ second)), "cosine"),
        ("class_divergence", lambda first, second: Score(float(np.abs(first - second).sum())), "divergence"),
        ("gsb", lambda counts: Score((counts.wins - counts.losses) / (counts.wins + counts.losses)), "GSB"),
        ("sign_test", lambda counts: Score(0.05), "sign test"),
    ],
)
def test_a_wrong_scorer_is_found(
    monkeypatch: pytest.MonkeyPatch, scorer: str, replacement: Callable[..., Any], found_by: str
) -> None:
    monkeypatch.setattr(module, scorer, replacement)
    assert any(found_by in name for name in wrong())
    assert all(found_by in name for name in wrong())


def test_word_errors_of_another_normaliser_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = module.text_profile("verse_bench")
    monkeypatch.setattr(module, "text_profile", lambda _name: plain)
    assert any("seed_tts" in name for name in wrong())
