"""KFP component of the step `aggregate_scores`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("aggregate_scores"), install_kfp_package=False)
def aggregate_scores(run: dict, outputs: dict, scores: list) -> dict:
    """The scores of all groups of backends as one result for each arm.

    Args:
        run: the run's reference, from `configure`.
        outputs: handle of the clips.
        scores: handles of the groups' scores.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.evaluation.run.steps.aggregate_scores",
        name="aggregate_scores",
        run=run,
        sections=["benchmark"],
        seeded=True,
        inputs={"outputs": outputs, **{f"scores_{number}": handle for number, handle in enumerate(scores)}},
        identity="nava.evaluation.run.steps.benchmark_identity",
    )
