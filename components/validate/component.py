"""KFP component of the step `validate`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("validate"), install_kfp_package=False)
def validate(run: dict, clips: dict) -> dict:
    """Gate: Great Expectations suites over the clip manifest; a failure stops the run here.

    Args:
        run: the run"s reference, from `configure`.
        clips: handle of the clips.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.data.validation.step.validate",
        name="validate",
        run=run,
        sections=["validation", "curation"],
        inputs={"clips": clips},
    )
