"""KFP component of the step `curate`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("curate"), install_kfp_package=False)
def curate(run: dict, sources: dict) -> dict:
    """Raw media to clips: decode check, cuts, transcode, filters; every drop with its reason.

    Args:
        run: the run"s reference, from `configure`.
        sources: handle of the sources.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.data.curation.step.curate",
        name="curate",
        run=run,
        sections=["curation", "speech", "annotation"],
        inputs={"sources": sources},
    )
