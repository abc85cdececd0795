"""The step `validate`: the gate between curation and everything that is built on a corpus."""

from dataclasses import asdict
from pathlib import Path

from nava.artifacts.gate_verdict import GateVerdict, write_verdict
from nava.config.curation import CurationConfig
from nava.config.validation import ValidationConfig
from nava.runtime.errors import GateFailed, InputError
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
    verdict = judge(clips.require("clips").path, step.section(ValidationConfig), step.section(CurationConfig))
    handle = write_verdict(step.workdir / "verdict", verdict, title="Data gate")
    step.log(f"{sum(bool(rule.passed) for rule in verdict.rules)} of {len(verdict.rules)} rules hold")
    if not verdict.passed:
        raise GateFailed(verdict.message(), handle)
    return handle


def judge(folder: Path, validation: ValidationConfig, curation: CurationConfig) -> GateVerdict:
    """Hold a curated folder against every suite and every account.

    Raises:
        InputError: there is no manifest of clips, or of sources, in the folder.
    """
    from nava.artifacts.clip_manifest import read_clips
    from nava.artifacts.source_manifest import read_sources
    from nava.data.validation.accounts import account_rules
    from nava.data.validation.rules import check
    from nava.data.validation.suites import clip_suites, source_suite

    try:
        table, sources = read_clips(folder), read_sources(folder)
    except (FileNotFoundError, ValueError) as error:
        raise InputError(f"{folder} holds no curated clips: {error}; curate it again") from error
    import pandas as pd

    rules = account_rules(folder, table.to_pylist(), sources, validation, bool(curation.duplicates.against))
    columns = pd.DataFrame([asdict(source) for source in sources])
    rules += check([source_suite(columns), *clip_suites(table.to_pandas(), validation, curation)])
    return GateVerdict(GATE, all(rule.passed for rule in rules), rules)
