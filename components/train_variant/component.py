"""KFP component of the step `train_variant`, used once per variant of the ablation."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("train_variant"), install_kfp_package=False)
def train_variant(run: dict, shards: dict, variant: str) -> dict:
    """All three stages of one architecture, for every seed of the ablation; resumes from its own checkpoints.

    Args:
        run: the run's reference, from `configure`.
        shards: handle of the latent shards.
        variant: which one, of `nava.config.ablation.VARIANTS`.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.training.variant.train_variant",
        name=f"train_{variant}",
        run=run,
        sections=["ablation", "training", "model", "diffusion", "loader", "launch", "cluster", "tracking"],
        seeded=True,
        inputs={"shards": shards},
        parameters={"variant": variant},
    )
