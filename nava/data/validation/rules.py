"""Rules of Great Expectations with words for people, and what they say of a frame."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Read when Great Expectations is imported: nothing may phone home.
os.environ.setdefault("GX_ANALYTICS_ENABLED", "False")

import great_expectations as gx
import great_expectations.expectations as gxe
import pandas as pd

from nava.artifacts.gate_verdict import RuleResult

SHA256_PATTERN = r"^[0-9a-f]{64}$"


@dataclass(frozen=True)
class Rule:
    """An expectation, and in words what must hold and what is expected."""

    words: str
    expected: Any
    expectation: Any


@dataclass(frozen=True)
class Suite:
    """Rules over one frame.

    Attributes:
        name: of the stage it holds, and of what is looked at.
        frame: the rows it looks at.
        rules: what must hold of them.
        id_column: names the records that break a rule.
    """

    name: str
    frame: pd.DataFrame
    rules: list[Rule]
    id_column: str = "clip_id"


def row_count(what: str, least: int) -> Rule:
    """At least so many rows."""
    return Rule(f"{what}: at least {least}", f">= {least}", gxe.ExpectTableRowCountToBeBetween(min_value=least))


def between(words: str, column: str, least: float | None, most: float | None) -> Rule:
    """Values of a column within bounds; nulls are looked past."""
    bounds = [f">= {least}" if least is not None else "", f"<= {most}" if most is not None else ""]
    expectation = gxe.ExpectColumnValuesToBeBetween(column=column, min_value=least, max_value=most)
    return Rule(words, " and ".join(bound for bound in bounds if bound), expectation)


def greater(words: str, column: str, than: str) -> Rule:
    """One column above another, row by row."""
    expectation = gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=column, column_B=than, ignore_row_if="either_value_is_missing"
    )
    return Rule(words, f"{column} > {than}", expectation)


def equal(words: str, column: str, value: Any) -> Rule:
    """One value only."""
    return Rule(words, value, gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[value]))


def one_of(words: str, column: str, values: Sequence[Any]) -> Rule:
    """Values of a list."""
    allowed = [str(value) if isinstance(value, str) else value for value in values]
    return Rule(words, allowed, gxe.ExpectColumnValuesToBeInSet(column=column, value_set=allowed))


def unique(words: str, column: str) -> Rule:
    """No value twice."""
    return Rule(words, "unique", gxe.ExpectColumnValuesToBeUnique(column=column))


def present(words: str, column: str) -> Rule:
    """No nulls."""
    return Rule(words, "present", gxe.ExpectColumnValuesToNotBeNull(column=column))


def absent(words: str, column: str) -> Rule:
    """Nulls only."""
    return Rule(words, "absent", gxe.ExpectColumnValuesToBeNull(column=column))


def matching(words: str, column: str, pattern: str) -> Rule:
    """Texts of a form."""
    return Rule(words, pattern, gxe.ExpectColumnValuesToMatchRegex(column=column, regex=pattern))


def lengths(words: str, column: str, least: int, most: int) -> Rule:
    """Texts of a length, in characters."""
    expectation = gxe.ExpectColumnValueLengthsToBeBetween(column=column, min_value=least, max_value=most)
    return Rule(words, f"{least} to {most} characters", expectation)


def check(suites: Sequence[Suite]) -> list[RuleResult]:
    """Run the suites; one result per rule, with the ids of the records that break it."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("frames")
    results = []
    for suite in suites:
        asset = source.add_dataframe_asset(name=suite.name)
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": suite.frame})
        expectations = gx.ExpectationSuite(name=suite.name, expectations=[rule.expectation for rule in suite.rules])
        # Without the column's name the list of offending rows stays empty.
        wanted = {"result_format": "COMPLETE", "unexpected_index_column_names": [suite.id_column]}
        validated = batch.validate(expectations, result_format=wanted)
        # Great Expectations gives results back in an order of its own.
        by_config = {_key(result.expectation_config): result for result in validated.results}
        results += [_rule_result(suite, rule, by_config[_key(rule.expectation.configuration)]) for rule in suite.rules]
    return results


def _key(configuration: Any) -> str:
    kwargs = {name: value for name, value in configuration.kwargs.items() if name != "batch_id" and value is not None}
    return f"{configuration.type} {sorted((name, str(value)) for name, value in kwargs.items())}"


def _rule_result(suite: Suite, rule: Rule, result: Any) -> RuleResult:
    details = result.result
    offending = [str(row[suite.id_column]) for row in details.get("unexpected_index_list") or []]
    if "observed_value" in details:
        observed = details["observed_value"]
    else:
        observed = f"{details.get('unexpected_count', 0)} of {len(suite.frame)} records differ"
    if result.exception_info.get("raised_exception"):
        observed = f"could not be checked: {result.exception_info.get('exception_message')}"
    return RuleResult(f"{suite.name}: {rule.words}", bool(result.success), observed, rule.expected, offending)
