"""KFP component of the step `train`, used once per stage."""

from typing import Optional

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train"), install_kfp_package=False)
def train(run: dict, shards: dict, stage: int, previous: Optional[dict] = None) -> dict:  # noqa: UP045 - KFP reads this form only
    """One stage of training under DeepSpeed, from the previous stage's weights; resumes from its own checkpoints.

    Args:
        run: the run's reference, from `configure`.
        shards: handle of the latent shards.
        stage: 1, 2 or 3.
        previous: handle of the previous stage's checkpoint; none for stage 1.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.training.step.train",
        name=f"train_stage{int(stage)}",
        run=run,
        sections=["training", "model", "diffusion", "loader", "launch", "cluster", "tracking"],
        seeded=True,
        inputs={"shards": shards, "previous": previous},
        parameters={"stage": int(stage)},
    )
