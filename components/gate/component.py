"""KFP component of the step `gate`."""

from kfp import dsl

from components.images import image


@dsl.component(base_image=image("gate"), install_kfp_package=False)
def gate(run: dict, evaluation: dict) -> dict:
    """Gate: the candidate against the champion, or against the untrained model when there is none.

    Args:
        run: the run"s reference, from `configure`.
        evaluation: handle of the evaluation.
    """
    from nava.runtime.step import execute

    return execute(
        "nava.registry.gate_step.gate",
        name="gate",
        run=run,
        sections=["promotion", "registry"],
        seeded=True,
        inputs={"evaluation": evaluation},
        identity="nava.registry.gate_step.champion_identity",
    )
