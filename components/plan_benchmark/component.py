"""KFP component of the step `plan_benchmark`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("plan_benchmark"), install_kfp_package=False)
def plan_benchmark(run: dict) -> list:
    """The items of a benchmark, and the groups of backends that score them: what the pipeline's loop goes over.

    Args:
        run: the run's reference, from `configure`.
    """
    from nava.runtime.step import execute, open_loop

    plan = execute(
        "nava.evaluation.run.steps.plan_benchmark",
        name="plan_benchmark",
        run=run,
        sections=["benchmark"],
        seeded=True,
        identity="nava.evaluation.run.steps.benchmark_identity",
    )
    return open_loop(run, "score_backends", plan["meta"]["groups"])
