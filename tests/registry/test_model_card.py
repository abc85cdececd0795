from dataclasses import replace

import pytest

from nava.artifacts.evaluation_result import Statement
from nava.registry.model_card import model_card
from tests.registry.run_folder import metric, result

SOURCES = {"shards": "5" * 64, "checkpoint": "c" * 64}


def card(evaluated):
    return model_card("nava", "Apache-2.0", evaluated, SOURCES)


def skipped(name, reason):
    empty = dict.fromkeys(("value", "ci_low", "ci_high", "n", "coverage", "baseline_untrained"))
    return replace(metric(name), status="skipped", reason=reason, **empty)


@pytest.fixture
def text():
    metrics = [metric(), metric("plain", baseline_untrained=None), skipped("lost", "the clips are silent")]
    statements = [Statement("flash", True, "flashes and tones coincide"), Statement("rain", False, "not learned")]
    return card(result(metrics=metrics, statements=statements))


def test_it_names_the_model_its_licence_and_its_use(text):
    assert text.startswith("---\nlicense: Apache-2.0\n")
    assert "# nava" in text
    assert "## Intended use" in text
    assert "## Licences" in text


def test_every_measured_metric_has_its_interval_and_n(text):
    assert "| av_sync_flash_gap | 0.500 r | 0.400 to 0.600 | 32 | 0.010 [-0.050, 0.070] |" in text
    assert "| plain | 0.500 r | 0.400 to 0.600 | 32 |  |" in text


def test_what_was_not_measured_or_not_learned_is_said(text):
    assert "Not measured: lost (the clips are silent)" in text
    assert "- rain: not learned" in text


def test_what_it_was_made_from_is_named_in_order(text):
    assert text.index(f"- checkpoint: `{'c' * 64}`") < text.index(f"- shards: `{'5' * 64}`")


def test_the_same_evaluation_gives_the_same_text():
    assert card(result()) == card(result())
    assert card(result(0.5)) != card(result(0.6))


def test_an_evaluation_without_anything_still_makes_a_card():
    text = card(result(metrics=[], statements=[]))
    assert "| none | | | | |" in text
    assert "- Nothing was measured." in text
    assert "Not measured: nothing was skipped" in text


def test_a_label_cannot_break_the_table():
    text = card(result(metrics=[metric(label="a | b")]))
    assert r"| a \| b |" in text
