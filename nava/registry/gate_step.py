"""The evaluation gate: may this candidate be registered and promoted?"""

from dataclasses import replace

from nava.artifacts import evaluation_result
from nava.artifacts.gate_verdict import GateVerdict, write_verdict
from nava.config.promotion import PromotionConfig
from nava.config.registry import RegistryConfig
from nava.registry.baseline import find_baseline, read_champion
from nava.registry.benchmark_evidence import judge_run, run_identity
from nava.registry.benchmark_rules import configured_rules
from nava.registry.gate_rules import Evaluated, candidate_rules, champion_rules, evidence_rule
from nava.runtime.errors import GateFailed
from nava.runtime.handle import Handle
from nava.runtime.step import Step

GATE = "evaluation"


def champion_identity(step: Step, evaluation: Handle | None = None) -> str:
    """What the verdict depends on beside its inputs: the champion that the candidate is compared with.

    Without the evaluation a champion cannot be told from the candidate itself, so the gate runs once more after it has
    promoted its own candidate, and comes to the same verdict. With rules on benchmark figures, it depends on the
    results that the run holds as well.
    """
    sha256, registry = evaluation.sha256 if evaluation else "", step.section(RegistryConfig)
    baseline = find_baseline(registry, step.run_dir, sha256)
    if evaluation is None or not step.section(PromotionConfig).benchmark_rules:
        return baseline.fingerprint
    result = evaluation_result.read(evaluation.require(evaluation_result.KIND).path)
    return run_identity(result, registry, step.run_dir, baseline)


def gate(step: Step, evaluation: Handle) -> Handle:
    """Judge an evaluation against the rules, and against the champion where there is one.

    Returns:
        The verdict's handle; its meta carries the `baseline` that promotion must find unchanged.

    Raises:
        GateFailed: a rule does not hold; the verdict is written and goes with the error.
    """
    config, registry = step.section(PromotionConfig), step.section(RegistryConfig)
    folder = evaluation.require(evaluation_result.KIND).path
    baseline = find_baseline(registry, step.run_dir, evaluation.sha256)
    result = evaluation_result.read(folder)
    rules = candidate_rules(result, config)
    if baseline.version is not None:
        candidate = Evaluated("the candidate", result, list(evaluation_result.read_samples(folder)))
        champion = read_champion(registry, step.run_dir, baseline)
        rules += champion_rules(candidate, champion, config, step.seed)
    evidence: dict[str, bytes] = {}
    if benchmark := configured_rules(config):
        found, evidence = judge_run(benchmark, result, registry, step.run_dir, baseline, step.seed)
        rules += found
    rules.append(evidence_rule(rules))
    verdict = GateVerdict(GATE, all(rule.passed is not False for rule in rules), rules)
    written = write_verdict(step.workdir / "verdict", verdict, f"Candidate against {baseline.label}", evidence)
    handle = replace(written, meta={**written.meta, "baseline": baseline.to_dict()})
    step.log(f"compared with {baseline.label}: {verdict.message()}")
    if not verdict.passed:
        raise GateFailed(verdict.message(), handle)
    return handle
