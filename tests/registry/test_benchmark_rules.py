"""Rules as they are written: what is wrong is named by file, rule and field."""

import re
from pathlib import Path

import pytest

from nava.config.composition import compose
from nava.config.promotion import PromotionConfig
from nava.registry.benchmark_rules import configured_rules, read_rules
from nava.runtime.errors import InputError
from nava.runtime.step import typed_section
from tests.registry.benchmark_files import rule

BASE = "task: t.e.v1, metric: onset_f1, backend: tracks"
WRONG = [
    ("{task: t, metric: onset_f2, backend: tracks, minimum: 1}", "[0].metric: there is no metric 'onset_f2'"),
    ("{task: t, metric: onset_f1, backend: ears, minimum: 1}", "[0].backend: onset_f1 has no backend 'ears'; there"),
    (f"{{{BASE}, maximum: 0.5}}", "[0].maximum: of onset_f1, higher is better, so its bound is a minimum"),
    ("{task: t, metric: flicker, backend: frames, minimum: 1}", "[0].minimum: of flicker, lower is better"),
    (f"{{{BASE}, minimum: 1.5}}", "[0].minimum is 1.5, but onset_f1 is 1 at most"),
    ("{task: t, metric: flicker, backend: frames, maximum: -1}", "[0].maximum is -1, but flicker is 0 at least"),
    ("{task: t, metric: fd.frechet_lite, backend: mel_moments, max_regression: 1}", "[0].max_regression: fd.frechet"),
]
WRONG_FORM = [
    (f"{{{BASE}}}", "[0] is 'onset_f1[tracks]'; it must be given minimum"),
    (f"{{{BASE}, minimum: 0.1, maximum: 0.2}}", "[0].maximum is 0.2; it must be absent"),
    (f"{{{BASE}, max_regression: -0.1}}", "[0].max_regression is -0.1; it must be 0 or more"),
    (f"{{{BASE}, minimum: 0.1, significance: 0}}", "[0].significance is 0.0; it must be between 0.001 and 0.5"),
    (f"{{{BASE}, minimum: 0.1, min_coverage: 1.1}}", "[0].min_coverage is 1.1; it must be between 0 and 1"),
    (f"{{{BASE}, minimum: 0.1, min_items: 1}}", "[0].min_items is 1; it must be at least 2"),
    (f"{{{BASE}, minimum: 0.1, bound_on: mean}}", "[0].bound_on is 'mean'; it must be interval or value"),
    (f"{{{BASE}, minimum: 0.1, regression_test: t}}", "[0].regression_test is 't'"),
    ("{task: ' ', metric: onset_f1, backend: tracks, minimum: 0.1}", "[0].task is ' '; it must be a name"),
]
WRONG_FILE = [
    (f"{{{BASE}, minimun: 0.1}}", "[0].minimun: unknown field; there are task, metric, backend, minimum"),
    ("{task: t, metric: onset_f1, minimum: 0.1}", "[0].backend is missing"),
    (f"{{{BASE}, minimum: '0.1'}}", "[0].minimum is '0.1'; it must be a number"),
    (f"{{{BASE}, minimum: true}}", "[0].minimum is True; it must be a number"),
    (f"{{{BASE}, minimum: .nan}}", "[0].minimum is nan; it must be a finite number"),
    (f"{{{BASE}, minimum: 0.1, required: 1}}", "[0].required is 1; it must be true or false"),
    (f"{{{BASE}, minimum: 0.1, significance: null}}", "[0].significance is None; it must be a number"),
    ("{task: 3, metric: onset_f1, backend: tracks, minimum: 0.1}", "[0].task is 3; it must be text"),
    ("3", "[0]: must be fields with values, got int"),
]


def file_of(folder: Path, text: str) -> Path:
    path = folder / "rules.yaml"
    path.write_text(f"schema_version: 1\nrules:\n  - {text}\n")
    return path


def test_a_file_of_rules_is_read(tmp_path: Path) -> None:
    path = file_of(tmp_path, f"{{{BASE}, minimum: 1, required: false, max_regression: 0.05, significance: 0.1}}")
    wanted = rule(task="t.e.v1", minimum=1.0, required=False, max_regression=0.05, significance=0.1)
    assert read_rules(path) == [wanted]


@pytest.mark.parametrize(("text", "message"), [*WRONG, *WRONG_FORM, *WRONG_FILE])
def test_a_wrong_rule_in_a_file_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = file_of(tmp_path, text)
    with pytest.raises(InputError, match=re.escape(f"{path}: rules{message}")):
        read_rules(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rules: []", "schema_version must be 1"),
        ("schema_version: 1\nrules: []", "one rule or more"),
        ("schema_version: 1\nrule: []", "unknown field rule; there is rules"),
        ("[1, 2]", "schema_version must be 1"),
        ("{", "is not YAML"),
    ],
)
def test_a_file_that_holds_no_rules_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "rules.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_rules(tmp_path / "rules.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        read_rules(tmp_path / "none.yaml")


def composed(text: str) -> PromotionConfig:
    config = compose("demo", [f"promotion.benchmark_rules=[{text}]"]).config
    return typed_section(PromotionConfig, config["promotion"])


def test_rules_are_settings_of_a_recipe() -> None:
    assert compose("demo").config["promotion"]["benchmark_rules"] == []
    config = composed("{task: t.e.v1, metric: onset_f1, backend: tracks, minimum: 1}")
    assert configured_rules(config) == [rule(task="t.e.v1", minimum=1.0)]


@pytest.mark.parametrize(("text", "message"), [WRONG_FORM[0], WRONG_FORM[2], WRONG_FORM[6]])
def test_a_wrong_rule_in_a_recipe_is_refused_before_anything_runs(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"promotion.benchmark_rules{message}")):
        composed(text)


def test_an_unknown_field_in_a_recipe_is_refused() -> None:
    with pytest.raises(InputError, match="Key 'minimun' not in 'BenchmarkRule'"):
        composed(f"{{{BASE}, minimun: 1}}")


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_a_configured_rule_is_held_against_the_catalogue(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(f"promotion.benchmark_rules{message}")):
        configured_rules(composed(text))
