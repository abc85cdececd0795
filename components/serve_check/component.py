"""KFP component of the step `serve_check`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("serve_check"), install_kfp_package=False)
def serve_check(run: dict, model_package: dict) -> dict:
    """Starts the service on the package, asks it for a clip over HTTP and decodes what comes back.

    Args:
        run: the run"s reference, from `configure`.
        model_package: handle of the model package.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.serving.check_step.serve_check",
        name="serve_check",
        run=run,
        sections=["serving"],
        inputs={"model_package": model_package},
        identity="nava.serving.check_step.service_identity",
    )
