"""KFP component of the step `score_backends`, used once per group of backends."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("score_backends"), install_kfp_package=False)
def score_backends(run: dict, outputs: dict, group: dict) -> dict:
    """Features of one group of backends, and the rows and figures that come of them.

    Args:
        run: the run's reference, from `configure`.
        outputs: handle of the clips.
        group: its name and its backends, from `plan_benchmark`.
    """
    from nava.runtime.step import execute, iteration_name

    return execute(
        "nava.evaluation.run.steps.score_backends",
        name=iteration_name("score_backends", group),
        run=run,
        sections=["benchmark"],
        seeded=True,
        inputs={"outputs": outputs},
        parameters={"backends": group["backends"]},
        identity="nava.evaluation.run.steps.weights_identity",
    )
