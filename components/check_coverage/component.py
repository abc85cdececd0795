"""KFP component of the step `check_coverage`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("check_coverage"), install_kfp_package=False)
def check_coverage(run: dict, report: dict) -> dict:
    """Gate: every figure of the model has values for enough items.

    Args:
        run: the run's reference, from `configure`.
        report: handle of the report, which is written by now.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.evaluation.run.steps.check_coverage",
        name="check_coverage",
        run=run,
        sections=["benchmark"],
        inputs={"report": report},
    )
