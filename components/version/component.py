"""KFP component of the step `version`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("version"), install_kfp_package=False)
def version(run: dict, clips: dict, verdict: dict) -> dict:
    """Kept clips to a revision of the corpus repository (git + DVC).

    Args:
        run: the run"s reference, from `configure`.
        clips: handle of the clips.
        verdict: handle of the verdict.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.data.corpus.step.version",
        name="version",
        run=run,
        sections=["corpus"],
        inputs={"clips": clips, "verdict": verdict},
    )
