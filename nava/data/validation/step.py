"""The step `validate`: the gate between curation and everything that is built on a corpus."""

from nava.artifacts.gate_verdict import GateVerdict, write_verdict
from nava.config.curation import CurationConfig
from nava.config.validation import ValidationConfig
from nava.runtime.errors import GateFailed
from nava.runtime.handle import Handle
from nava.runtime.step import Step

GATE = "data"


def validate(step: Step, clips: Handle) -> Handle:
    """Check a clip manifest and its media against the suites.

    Returns:
        Handle of kind `gate_verdict`.

    Raises:
        GateFailed: a rule does not hold; the verdict names it and the offending records.
    """
    from nava.artifacts.clip_manifest import read_clips
    from nava.data.validation.accounts import account_rules
    from nava.data.validation.suites import check, data_suites

    folder = clips.require("clips").path
    table = read_clips(folder)
    validation, curation = step.section(ValidationConfig), step.section(CurationConfig)
    rules = account_rules(folder, table.to_pylist(), clips.meta, validation)
    rules += check(data_suites(table.to_pandas(), validation, curation))
    verdict = GateVerdict(GATE, all(rule.passed for rule in rules), rules)
    handle = write_verdict(step.workdir / "verdict", verdict, title="Data gate")
    step.log(f"{sum(bool(rule.passed) for rule in rules)} of {len(rules)} rules hold")
    if not verdict.passed:
        raise GateFailed(verdict.message(), handle)
    return handle
