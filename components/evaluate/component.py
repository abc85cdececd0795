"""KFP component of the step `evaluate`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("evaluate"), install_kfp_package=False)
def evaluate(run: dict, checkpoint: dict, shards: dict, corpus: dict) -> dict:
    """Held-out prompts generated and measured, beside the untrained model and shuffled audio.

    Args:
        run: the run"s reference, from `configure`.
        checkpoint: handle of the checkpoint.
        shards: handle of the shards.
        corpus: handle of the corpus.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.evaluation.step.evaluate",
        name="evaluate",
        run=run,
        sections=["evaluation", "generation", "latents", "conditioning"],
        seeded=True,
        inputs={"checkpoint": checkpoint, "shards": shards, "corpus": corpus},
    )
