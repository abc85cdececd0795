"""KFP component of the step `promote`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("promote"), install_kfp_package=False)
def promote(run: dict, model_version: dict, verdict: dict, model_package: dict, serve_report: dict) -> dict:
    """Moves the alias `champion` (policy auto) and writes the promotion ledger.

    Args:
        run: the run"s reference, from `configure`.
        model_version: handle of the model version.
        verdict: handle of the verdict.
        model_package: handle of the model package.
        serve_report: handle of the serve report.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.registry.promote_step.promote",
        name="promote",
        run=run,
        sections=["promotion", "registry"],
        inputs={
            "model_version": model_version,
            "verdict": verdict,
            "model_package": model_package,
            "serve_report": serve_report,
        },
        identity="nava.registry.promote_step.ledger_identity",
    )
