"""KFP component of the step `ingest`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("ingest"), install_kfp_package=False)
def ingest(run: dict) -> dict:
    """Source media to a source manifest: the seeded generator, or the user"s own folder.

    Args:
        run: the run"s reference, from `configure`.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.data.sources.step.ingest",
        name="ingest",
        run=run,
        sections=["source", "synthetic"],
        seeded=True,
        identity="nava.data.sources.step.source_identity",
    )
