"""KFP component of the step `register`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("register"), install_kfp_package=False)
def register(run: dict, evaluation: dict, verdict: dict, checkpoint: dict, shards: dict, corpus: dict) -> dict:
    """A model version in MLflow, with the run record attached.

    Args:
        run: the run"s reference, from `configure`.
        evaluation: handle of the evaluation.
        verdict: handle of the verdict.
        checkpoint: handle of the checkpoint.
        shards: handle of the shards.
        corpus: handle of the corpus.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.registry.register_step.register",
        name="register",
        run=run,
        sections=["registry"],
        seeded=True,
        inputs={
            "evaluation": evaluation,
            "verdict": verdict,
            "checkpoint": checkpoint,
            "shards": shards,
            "corpus": corpus,
        },
    )
