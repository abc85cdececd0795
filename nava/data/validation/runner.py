"""Runs the suites with Great Expectations, in memory; its results become rules with the ids of offending records."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

# Read by Great Expectations when it is imported.
os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")

import great_expectations as gx

from nava.artifacts.gate_verdict import RuleResult
from nava.data.validation.suites import Suite

if TYPE_CHECKING:
    import pandas as pd

_RESULT_FORMAT = {
    "result_format": "COMPLETE",
    "unexpected_index_column_names": ["clip_id"],
    "return_unexpected_index_query": False,
}
_SHOWN_VALUES = 3


def run_suites(suites: list[Suite], frames: Mapping[str, pd.DataFrame]) -> list[RuleResult]:
    """One result per rule, in the suites' order. A rule about a frame without rows does not apply."""
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("clips")
    results: list[RuleResult] = []
    for suite in suites:
        frame = frames[suite.frame]
        if frame.empty:
            results += [
                RuleResult(f"{suite.name}: {rule.text}", None, expected=rule.expected, note="there are no such records")
                for rule in suite.rules
            ]
            continue
        asset = source.add_dataframe_asset(name=suite.name)
        batch = asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})
        expectations = gx.ExpectationSuite(name=suite.name, expectations=[rule.expectation for rule in suite.rules])
        validation = batch.validate(expectations, result_format=_RESULT_FORMAT)
        by_id = {result.expectation_config.id: result for result in validation.results}
        for rule, expectation in zip(suite.rules, expectations.expectations, strict=True):
            results.append(_rule_result(f"{suite.name}: {rule.text}", rule.expected, by_id[expectation.id]))
    return results


def _rule_result(text: str, expected: str, result: Any) -> RuleResult:
    if result.exception_info and result.exception_info.get("raised_exception"):
        problem = result.exception_info["exception_message"]
        raise RuntimeError(f"{text}: Great Expectations could not check it: {problem}")
    found = result.result
    offending = [str(entry["clip_id"]) for entry in found.get("unexpected_index_list") or []]
    values = found.get("partial_unexpected_list") or []
    shown = ", ".join(dict.fromkeys(str(value) for value in values[:_SHOWN_VALUES]))
    count = found.get("unexpected_count", 0)
    observed = f"{count} of {found.get('element_count', 0)} records" + (f" ({shown})" if shown else "")
    return RuleResult(text, bool(result.success), observed=observed, expected=expected, offending=offending)
