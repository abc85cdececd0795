"""KFP component of the step `package`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("package"), install_kfp_package=False)
def package(run: dict, model_version: dict, checkpoint: dict, shards: dict) -> dict:
    """The signed model package of a registered version.

    Args:
        run: the run"s reference, from `configure`.
        model_version: handle of the model version.
        checkpoint: handle of the checkpoint.
        shards: handle of the shards.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.registry.package_step.package",
        name="package",
        run=run,
        sections=["registry", "generation"],
        inputs={"model_version": model_version, "checkpoint": checkpoint, "shards": shards},
    )
