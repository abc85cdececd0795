"""KFP component of the step `generate_outputs`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("generate_outputs"), install_kfp_package=False)
def generate_outputs(run: dict) -> dict:
    """The benchmark's items asked of the champion or a named package, and the baselines' clips beside them.

    Args:
        run: the run's reference, from `configure`.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.registry.generate_outputs_step.generate_outputs",
        name="generate_outputs",
        run=run,
        sections=["benchmark", "registry"],
        seeded=True,
        identity="nava.registry.generate_outputs_step.model_identity",
    )
