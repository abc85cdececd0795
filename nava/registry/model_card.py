"""The model card that travels in a package: what the model is for, how well it does, and under which licences."""

from nava.artifacts.evaluation_result import EvaluationResult, MetricEntry

_CARD = """\
---
license: {licence}
pipeline_tag: text-to-video
tags: [audio-video, flow-matching, nava]
---

# {name}

Joint audio and video from one text prompt: an Align-then-Fuse transformer trained with flow matching.

## Intended use

Short clips with matching sound, from the kind of prompts it was trained on; for research and for trying out the
platform. Not for footage that could be taken for a record of real people or events, and not for decisions about people.

## What it learned, and what not

{statements}

## Evaluation

Protocol `{protocol}`, seed {seed}, {solver}. Intervals are 95 %.

| metric | value | interval | n | untrained model |
|---|---|---|---|---|
{rows}

Not measured: {skipped}

## Made from

{sources}

## Licences

- Weights: {licence}. Training media keep the licences that their sources state; see the corpus version.
- The codecs and the text encoder in `codec/` are fitted or defined by this project, under the same licence.

## Before you load it

`signature.json` covers every other file (OpenSSF model signing). Verify it with the public key of whoever gave you this
package; `nava.artifacts.model_package.load_package` does, before it opens anything else.
"""


def model_card(name: str, licence: str, result: EvaluationResult, sources: dict[str, str]) -> str:
    """The card as Markdown; a function of content only, so that the same model gives the same package."""
    measured = [metric for metric in result.metrics if metric.measured]
    skipped = [f"{metric.label} ({metric.reason})" for metric in result.metrics if not metric.measured]
    return _CARD.format(
        name=name,
        licence=licence,
        statements="\n".join(f"- {item.family}: {item.text}" for item in result.statements)
        or "- Nothing was measured.",
        protocol=result.protocol,
        seed=result.seed,
        solver=", ".join(f"{key} {value}" for key, value in sorted(result.sampler.items())),
        rows="\n".join(_row(metric) for metric in measured) or "| none | | | | |",
        skipped="; ".join(skipped) or "nothing was skipped",
        sources="\n".join(f"- {kind}: `{sha256}`" for kind, sha256 in sorted(sources.items())),
    )


def _row(metric: MetricEntry) -> str:
    untrained = metric.baseline_untrained
    before = f"{untrained.value:.3f} [{untrained.ci_low:.3f}, {untrained.ci_high:.3f}]" if untrained else ""
    label = metric.label.replace("|", "\\|")
    interval = f"{metric.ci_low:.3f} to {metric.ci_high:.3f}"
    return f"| {label} | {metric.value:.3f} {metric.unit} | {interval} | {metric.n} | {before} |"
